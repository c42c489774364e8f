/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as an OVF, and as the manifest of one. What is taken names one file and makes sense as far as it
 * says something; what is refused has a cause that a terminal can show. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/appliance_digest.h"
#include "deploy/appliance_parts.h"
#include "tests/fuzz/fuzz_target.h"

static void as_manifest(const uint8_t *data, size_t size)
{
	char digest[APPLIANCE_DIGEST_SIZE], why[APPLIANCE_WHY_SIZE];
	char *text = calloc(1, size + 1);

	assert(text);
	if (size > 0)
		memcpy(text, data, size);
	if (manifest_find(text, "disk", digest, why) == 0 && digest[0]) {
		struct digest *sum = digest_new(digest);

		assert(sum);
		digest_add(sum, data, size);
		assert(digest_end(sum, "disk", why) == -EBADMSG);
		digest_free(sum);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[APPLIANCE_WHY_SIZE] = "";
	struct ovf ovf;
	int r;

	as_manifest(data, size);
	r = ovf_parse((const char *)data, size, &ovf, why);

	if (r < 0) {
		assert((r == -EBADMSG || r == -EINVAL) && why[0]);
		for (const char *c = why; *c; c++)
			assert((unsigned char)*c >= ' ' && *c != 0x7f);
		return 0;
	}
	assert(ovf.href[0] && strlen(ovf.href) < sizeof(ovf.href));
	assert(ovf.cpus <= APPLIANCE_CPUS_MAX && ovf.memory_mib < INT32_MAX);
	return 0;
}
