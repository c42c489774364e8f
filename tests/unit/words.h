/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of an enum: each is read back as its value, no other word is, and no value outside has one. */
#pragma once

#define CHECK_WORDS(name, count)                                                                             \
	do {                                                                                                 \
		for (unsigned word = 0; word < (count); word++)                                              \
			assert_int_equal(name##_parse(name##_str(word)), word);                              \
		assert_int_equal(name##_parse("no such word"), -1);                                          \
		assert_string_equal(name##_str(count), "?");                                                 \
	} while (0)
