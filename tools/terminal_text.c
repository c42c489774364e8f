/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides which characters of a foreign text a terminal may see. Decodes UTF-8 strictly: what is overlong, a
 * surrogate or cut off is not a character. */
#include "tools/terminal_text.h"

#include <stdbool.h>
#include <stdint.h>

#define WORD_MAX 200

/* The character at `s`, of `*used` bytes; 0 when it is no well-formed one (then one byte is to be skipped).
 */
static uint32_t decode(const unsigned char *s, size_t len, size_t *used)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80		   ? 1
		   : (s[0] & 0xe0) == 0xc0 ? 2
		   : (s[0] & 0xf0) == 0xe0 ? 3
		   : (s[0] & 0xf8) == 0xf0 ? 4
					   : 0;
	uint32_t c;

	*used = 1;
	if (n == 1)
		return s[0];
	if (n == 0 || n > len)
		return 0;
	c = s[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*used = n;
	return c;
}

static bool harmless(uint32_t c)
{
	if (c < 0xa0) /* C0, DEL, C1 */
		return c >= 0x20 && c < 0x7f;
	if (c == 0xad || c == 0x61c || c == 0x180e || c == 0xfeff) /* invisible */
		return false;
	if ((c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f))
		return false; /* invisible, line and paragraph ends, direction */
	return c < 0xe0000;   /* tags and private planes */
}

void terminal_put(FILE *out, const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t clean = 0; /* from here on all is harmless, and not yet written */

	for (size_t i = 0, used; i < len; i += used) {
		if (harmless(decode(s + i, len - i, &used)))
			continue;
		fwrite(s + clean, 1, i - clean, out);
		for (size_t k = 0; k < used; k++)
			fputc('?', out);
		clean = i + used;
	}
	fwrite(s + clean, 1, len - clean, out);
}

void terminal_put_word(FILE *out, const char *word, size_t len)
{
	size_t n = len <= WORD_MAX ? len : WORD_MAX;

	while (n < len && n > WORD_MAX - 3 && (word[n] & 0xc0) == 0x80)
		n--;
	terminal_put(out, word, n);
	if (n < len)
		fputs("...", out);
}
