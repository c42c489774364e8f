/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides names and shape of what --discover-storage prints. Called by discover_storage.c. */
#include "tools/discovery_json.h"

#include <string.h>

#include "tools/json_text.h"

static json_t *text_of(const char *text)
{
	return json_text(text, strlen(text));
}

/* What is not known is null. */
static json_t *known(const char *text)
{
	return text[0] ? text_of(text) : json_null();
}

static json_t *path_of(const struct lun_path *path)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "device", text_of(path->device), "state", known(path->state),
			 "initiator", known(path->initiator), "target", known(path->target));
}

static json_t *lun_of(const struct lun *lun)
{
	static const char *const uses[] = {
		[LUN_UNKNOWN] = "unknown", [LUN_FREE] = "free", [LUN_USED] = "used"};
	json_t *paths = json_array();

	for (unsigned i = 0; i < lun->n_paths; i++)
		if (json_array_append_new(paths, path_of(&lun->paths[i])) < 0) {
			json_decref(paths);
			return NULL;
		}
	return json_pack("{s:o, s:o, s:I, s:i, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:s, s:o, s:o}", "path",
			 known(lun->path), "lun", lun->number < 0 ? json_null() : json_integer(lun->number),
			 "size", (json_int_t)lun->size, "sector-size", (int)lun->sector_size, "vendor",
			 known(lun->vendor), "model", known(lun->model), "serial", known(lun->serial), "wwid",
			 known(lun->wwid), "transport", known(lun->transport), "read-only", lun->read_only,
			 "multipath", lun->multipath, "status", uses[lun->use], "holds", known(lun->holds),
			 "paths", paths);
}

static json_t *luns_of(const struct lun *luns, size_t n)
{
	_cleanup_(json_decref_p) json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, lun_of(&luns[i])) < 0)
			return NULL;
	return TAKE_PTR(list);
}

json_t *discovered_luns(const struct lun *luns, size_t n)
{
	return json_pack("{s:o}", "luns", luns_of(luns, n));
}

static json_t *target_of(const struct iscsi_target *target)
{
	_cleanup_(json_decref_p) json_t *portals = json_array();

	for (unsigned i = 0; i < target->n_portals; i++)
		if (json_array_append_new(portals, text_of(target->portals[i])) < 0)
			return NULL;
	return json_pack("{s:o, s:O, s:o, s:o}", "iqn", text_of(target->iqn), "portals", portals, "error",
			 known(target->trouble), "luns", luns_of(target->luns, target->n_luns));
}

json_t *discovered_targets(const struct iscsi_target *targets, size_t n)
{
	_cleanup_(json_decref_p) json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, target_of(&targets[i])) < 0)
			return NULL;
	return json_pack("{s:O}", "targets", list);
}

/* The words of `text`. */
static json_t *words_of(const char *text)
{
	_cleanup_(json_decref_p) json_t *list = json_array();

	while (*text) {
		size_t length = strcspn(text, " ");

		if (length > 0 && json_array_append_new(list, json_text(text, length)) < 0)
			return NULL;
		text += length + (text[length] == ' ');
	}
	return TAKE_PTR(list);
}

json_t *discovered_exports(const struct nfs_export *exports, size_t n)
{
	_cleanup_(json_decref_p) json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, json_pack("{s:o, s:o}", "path", text_of(exports[i].path),
							  "clients", words_of(exports[i].clients))) < 0)
			return NULL;
	return json_pack("{s:O}", "exports", list);
}
