/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store of a logical unit on an iSCSI target, by libiscsi; the only file that includes it. It decides how
 * the library is asked and what its answers mean; metadata/store_remote.c decides about connections and time.
 * It may not use a session again that had an error. Called by metadata/store_open.c. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include "metadata/initiator.h"
#include "metadata/store_kinds.h"
#include "metadata/store_remote.h"
#include "util/cleanup.h"

#define PORT 3260
#define LUN_MAX 16383
#define SECTOR_MAX 4096
/* One command; targets that take less say so in their answer, which is an error here. */
#define IO_BYTES (1024 * 1024)

struct iscsi_config {
	char target[256];
	char initiator[INITIATOR_NAME_SIZE];
	char user[256], password[256]; /* empty: no CHAP */
	int lun;
	uint64_t offset;
};

/* What the unit takes for durable. */
enum durable {
	DURABLE_FUA,   /* a write that says so itself */
	DURABLE_FLUSH, /* the unit refuses those: a write, then a flush of its cache */
};

struct iscsi_link {
	struct remote_queue *queue;
	const struct iscsi_config *config;
	struct iscsi_context *iscsi;
	char portal[80];
	uint64_t sectors; /* of the unit */
	uint32_t sector;  /* bytes */
	enum durable durable;
	bool write_protected;
	bool sent_on; /* by the portal, to another one */
	uint64_t at;
	uint8_t *buffer;     /* of a read */
	const uint8_t *data; /* of a write */
	size_t size, done, asked;
};

static int begun(const void *task)
{
	return task ? 0 : -ENOMEM; /* nothing else keeps the library from queueing a command */
}

static int status_error(int status, const struct scsi_task *task)
{
	switch (status) {
	case SCSI_STATUS_GOOD:
		return 0;
	case SCSI_STATUS_CHECK_CONDITION:
		if (task && task->sense.key == SCSI_SENSE_DATA_PROTECTION)
			return -EROFS;
		if (task && task->sense.ascq == SCSI_SENSE_ASCQ_LBA_OUT_OF_RANGE)
			return -EFBIG;
		if (task && task->sense.ascq == SCSI_SENSE_ASCQ_LOGICAL_UNIT_NOT_SUPPORTED)
			return -ENXIO;
		return -EIO;
	case SCSI_STATUS_RESERVATION_CONFLICT:
		return -EBUSY;
	case SCSI_STATUS_BUSY:
	case SCSI_STATUS_TASK_SET_FULL:
		return -EAGAIN;
	case SCSI_STATUS_TIMEOUT:
		return -ETIMEDOUT;
	default:
		return -ECONNRESET;
	}
}

/* The library has none for some of what was cancelled. */
static void task_free(struct scsi_task *task)
{
	if (task)
		scsi_free_scsi_task(task);
}

static int ask(struct iscsi_link *link);

static void go_on(struct iscsi_link *link)
{
	int r = link->done < link->size ? ask(link) : 0;

	if (r < 0 || link->done == link->size)
		remote_ended(link->queue, r);
}

static void read_done(struct iscsi_context *iscsi, int status, void *data, void *private)
{
	struct iscsi_link *link = private;
	struct scsi_task *task = data;
	int error = status_error(status, task);

	if (error == 0 && (size_t)task->datain.size != link->asked)
		error = -EIO;
	if (error == 0) {
		memcpy(link->buffer + link->done, task->datain.data, link->asked);
		link->done += link->asked;
		go_on(link);
	} else {
		remote_ended(link->queue, error);
	}
	task_free(task);
}

static void flush_done(struct iscsi_context *iscsi, int status, void *data, void *private)
{
	struct iscsi_link *link = private;

	remote_ended(link->queue, status_error(status, data));
	task_free(data);
}

static void write_done(struct iscsi_context *iscsi, int status, void *data, void *private)
{
	struct iscsi_link *link = private;
	struct scsi_task *task = data;
	int error = status_error(status, task);

	if (status == SCSI_STATUS_CHECK_CONDITION && task && link->durable == DURABLE_FUA &&
	    task->sense.key == SCSI_SENSE_ILLEGAL_REQUEST &&
	    task->sense.ascq == SCSI_SENSE_ASCQ_INVALID_FIELD_IN_CDB) {
		link->durable = DURABLE_FLUSH;
		error = ask(link);
		if (error < 0)
			remote_ended(link->queue, error);
	} else if (error == 0 && link->durable == DURABLE_FLUSH) {
		error = begun(iscsi_synchronizecache16_task(iscsi, link->config->lun, 0, 0, 0, 0, flush_done,
							    link));
		if (error < 0)
			remote_ended(link->queue, error);
	} else {
		remote_ended(link->queue, error);
	}
	task_free(task);
}

/* The next command. */
static int ask(struct iscsi_link *link)
{
	uint64_t lba = (link->at + link->done) / link->sector, end;
	size_t left = link->size - link->done;

	link->asked = left < IO_BYTES ? left : IO_BYTES;
	if (link->data)
		return begun(iscsi_write16_task(link->iscsi, link->config->lun, lba, (uint8_t *)link->data,
						(uint32_t)link->asked, (int)link->sector, 0, 0,
						link->durable == DURABLE_FUA, 0, 0, write_done, link));
	/* What is beyond the end of the unit is zeros. */
	end = lba < link->sectors ? (link->sectors - lba) * link->sector : 0;
	if (end < left)
		memset(link->buffer + link->done + end, 0, left - (size_t)end);
	if (end < left)
		link->size = link->done + (size_t)end;
	if (end < link->asked)
		link->asked = (size_t)end;
	if (link->asked == 0) {
		remote_ended(link->queue, 0);
		return 0;
	}
	return begun(iscsi_read16_task(link->iscsi, link->config->lun, lba, (uint32_t)link->asked,
				       (int)link->sector, 0, 0, 0, 0, 0, read_done, link));
}

static int link_read(void *base, uint64_t at, uint8_t *buffer, size_t size, mono_t now)
{
	struct iscsi_link *link = base;

	link->at = at;
	link->buffer = buffer;
	link->data = NULL;
	link->size = size;
	link->done = 0;
	return ask(link);
}

static int link_write(void *base, uint64_t at, const uint8_t *data, size_t size, mono_t now)
{
	struct iscsi_link *link = base;

	if (link->write_protected)
		return -EROFS;
	if ((at + size + link->sector - 1) / link->sector > link->sectors)
		return -EFBIG;
	link->at = at;
	link->data = data;
	link->size = size;
	link->done = 0;
	return ask(link);
}

static void mode_done(struct iscsi_context *iscsi, int status, void *data, void *private)
{
	struct iscsi_link *link = private;
	struct scsi_task *task = data;
	struct scsi_mode_sense *mode;

	/* A unit that can't say is asked by a write. */
	mode = status == SCSI_STATUS_GOOD ? scsi_datain_unmarshall(task) : NULL;
	link->write_protected = mode && mode->device_specific_parameter & 0x80;
	remote_ended(link->queue, status == SCSI_STATUS_GOOD || status == SCSI_STATUS_CHECK_CONDITION
					  ? 0
					  : status_error(status, task));
	task_free(task);
}

/* Sectors of 512 and 4096 bytes, from which the whiteboard begins. */
static int take_capacity(struct iscsi_link *link, struct scsi_task *task)
{
	const struct scsi_readcapacity16 *capacity = scsi_datain_unmarshall(task);

	if (!capacity)
		return -EIO;
	if (capacity->block_length < 512 || capacity->block_length > SECTOR_MAX ||
	    SECTOR_MAX % capacity->block_length != 0 || link->config->offset % capacity->block_length != 0)
		return -EINVAL;
	if (capacity->returned_lba >= UINT64_MAX / SECTOR_MAX)
		return -EIO; /* no size of a unit: all of it would lie beyond the end */
	link->sector = capacity->block_length;
	link->sectors = capacity->returned_lba + 1;
	return 0;
}

static void capacity_done(struct iscsi_context *iscsi, int status, void *data, void *private)
{
	struct iscsi_link *link = private;
	struct scsi_task *task = data;
	int error = status_error(status, task);

	if (error == 0)
		error = take_capacity(link, task);
	task_free(task);
	if (error == 0)
		error = begun(iscsi_modesense6_task(iscsi, link->config->lun, 1, SCSI_MODESENSE_PC_CURRENT,
						    SCSI_MODEPAGE_RETURN_ALL_PAGES, 0, 255, mode_done, link));
	if (error < 0)
		remote_ended(link->queue, error);
}

/* After a login the unit may first say that something has happened. */
static void ready_done(struct iscsi_context *iscsi, int status, void *data, void *private)
{
	struct iscsi_link *link = private;
	struct scsi_task *task = data;
	int error = status_error(status, task);
	bool attention =
		status == SCSI_STATUS_CHECK_CONDITION && task && task->sense.key == SCSI_SENSE_UNIT_ATTENTION;

	task_free(task);
	if (attention)
		error = begun(iscsi_testunitready_task(iscsi, link->config->lun, ready_done, link));
	else if (error == 0)
		error = begun(iscsi_readcapacity16_task(iscsi, link->config->lun, capacity_done, link));
	if (error < 0)
		remote_ended(link->queue, error);
}

static void connect_done(struct iscsi_context *iscsi, int status, void *data, void *private);

/* Before a port and a group. */
static bool is_address(const char *portal)
{
	char host[64] = "";
	struct in6_addr any;
	bool v6 = portal[0] == '[';
	size_t length = strcspn(portal + v6, v6 ? "]" : ":,");

	if (length < sizeof(host))
		memcpy(host, portal + v6, length);
	return inet_pton(v6 ? AF_INET6 : AF_INET, host, &any) == 1;
}

/* Many targets have one portal for all, which sends each initiator to another one. A name of it would be
 * asked for in the loop: it must be an address. Followed once: portals that send us round in a circle end
 * there. */
static int follow(struct iscsi_link *link)
{
	const char *portal = iscsi_get_target_address(link->iscsi);

	if (link->sent_on || strlen(portal) >= sizeof(link->portal) || !is_address(portal))
		return -EREMOTE;
	link->sent_on = true;
	snprintf(link->portal, sizeof(link->portal), "%s", portal);
	(void)iscsi_disconnect(link->iscsi);
	return iscsi_connect_async(link->iscsi, link->portal, connect_done, link) < 0 ? -ECONNREFUSED : 0;
}

static void login_done(struct iscsi_context *iscsi, int status, void *data, void *private)
{
	struct iscsi_link *link = private;
	int error = 0;

	if (status == SCSI_STATUS_REDIRECT) {
		error = follow(link);
		if (error < 0)
			remote_ended(link->queue, error);
		return;
	}
	/* The target said no: to the name, the user or the password. */
	if (status != SCSI_STATUS_GOOD)
		error = status == SCSI_STATUS_ERROR ? -EACCES : -ECONNRESET;
	if (error == 0)
		error = begun(iscsi_testunitready_task(iscsi, link->config->lun, ready_done, link));
	if (error < 0)
		remote_ended(link->queue, error);
}

static void connect_done(struct iscsi_context *iscsi, int status, void *data, void *private)
{
	struct iscsi_link *link = private;
	int error = status == SCSI_STATUS_GOOD ? 0 : -ECONNREFUSED;

	if (error == 0 && iscsi_login_async(iscsi, login_done, link) < 0)
		error = -ENOMEM;
	if (error < 0)
		remote_ended(link->queue, error);
}

static void link_destroy(void *base)
{
	struct iscsi_link *link = base;

	if (!link)
		return;
	if (link->iscsi)
		iscsi_destroy_context(link->iscsi); /* no logout: it would ask the target */
	free(link);
}

static int set_up(struct iscsi_link *link)
{
	const struct iscsi_config *config = link->config;

	link->iscsi = iscsi_create_context(config->initiator);
	if (!link->iscsi)
		return -ENOMEM;
	iscsi_set_noautoreconnect(link->iscsi, 1);
	iscsi_set_timeout(link->iscsi, 0); /* the loop's deadline is the only one */
	if (iscsi_set_targetname(link->iscsi, config->target) < 0 ||
	    iscsi_set_session_type(link->iscsi, ISCSI_SESSION_NORMAL) < 0 ||
	    iscsi_set_header_digest(link->iscsi, ISCSI_HEADER_DIGEST_NONE_CRC32C) < 0)
		return -EINVAL;
	if (config->user[0] &&
	    iscsi_set_initiator_username_pwd(link->iscsi, config->user, config->password) < 0)
		return -EINVAL;
	return 0;
}

static int link_connect(void *base, const struct remote_address *address, struct remote_queue *queue,
			void **ret_link)
{
	struct iscsi_link *link = calloc(1, sizeof(*link));
	int r;

	if (!link)
		return -ENOMEM;
	link->queue = queue;
	link->config = base;
	snprintf(link->portal, sizeof(link->portal), address->v6 ? "[%s]:%u" : "%s:%u", address->text,
		 address->port ? address->port : PORT);
	r = set_up(link);
	if (r == 0 && iscsi_connect_async(link->iscsi, link->portal, connect_done, link) < 0)
		r = -ECONNREFUSED;
	if (r < 0) {
		link_destroy(link);
		return r;
	}
	*ret_link = link;
	return 0;
}

static int link_fd(void *base)
{
	return iscsi_get_fd(((struct iscsi_link *)base)->iscsi);
}

static int link_events(void *base)
{
	return iscsi_which_events(((struct iscsi_link *)base)->iscsi);
}

static int link_service(void *base, int revents)
{
	return iscsi_service(((struct iscsi_link *)base)->iscsi, revents) < 0 ? -ECONNRESET : 0;
}

static void config_free(void *config)
{
	free(config);
}

static const struct remote_library library = {
	link_connect, link_read, link_write, link_fd, link_events, link_service, link_destroy, config_free,
};

/* "/IQN/LUN". */
static int take_path(const struct store_url *url, struct iscsi_config *config, char *what, size_t size)
{
	const char *target = url->path + 1, *slash = strchr(target, '/');
	size_t length = slash ? (size_t)(slash - target) : 0;
	size_t digits = slash ? strspn(slash + 1, "0123456789") : 0;

	if (!length || length >= sizeof(config->target) || !digits || digits > 5 || slash[1 + digits] ||
	    atoi(slash + 1) > LUN_MAX) {
		snprintf(what, size, "names no unit of a target; give iscsi://PORTAL/IQN/LUN");
		return -EINVAL;
	}
	memcpy(config->target, target, length);
	config->lun = atoi(slash + 1);
	return 0;
}

static int take_text(const char *from, const char *name, char *ret, size_t ret_size, char *what, size_t size)
{
	if (strlen(from) >= ret_size) {
		snprintf(what, size, "has a %s that is too long", name);
		return -EINVAL;
	}
	strcpy(ret, from);
	return 0;
}

static int make_config(const struct store_url *url, const struct store_access *access,
		       struct iscsi_config *config, char *what, size_t size)
{
	static const char *const known[] = {"initiator", "offset", NULL};
	const char *initiator = store_url_text(url, "initiator");
	int r = store_url_known(url, known, what, size);

	if (r == 0)
		r = store_url_offset(url, &config->offset, what, size);
	if (r == 0)
		r = take_path(url, config, what, size);
	if (r == 0)
		r = take_text(access->user, "user", config->user, sizeof(config->user), what, size);
	if (r == 0)
		r = take_text(access->password, "password", config->password, sizeof(config->password), what,
			      size);
	if (r == 0 && initiator)
		r = take_text(initiator, "initiator", config->initiator, sizeof(config->initiator), what,
			      size);
	else if (r == 0)
		initiator_name(access->host_name, config->initiator);
	return r;
}

int store_iscsi_new(const struct store_url *url, const struct store_access *access, struct loop *loop,
		    struct store **ret, char *what, size_t size)
{
	struct iscsi_config *config = calloc(1, sizeof(*config));
	int r;

	if (!config)
		return -ENOMEM;
	r = make_config(url, access, config, what, size);
	if (r == 0 && loop)
		r = store_remote_new(url->places, url->n_places, config->offset, &library, config, loop, ret);
	if (r < 0 || !loop)
		config_free(config);
	return r;
}
