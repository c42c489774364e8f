/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks a portal for its targets, and each target for its LUNs and what they hold. It logs in and out, and
 * never writes. Every wait ends at the caller's deadline; a session that was late is thrown away. Called by
 * hosted-engine, for deployment. */
#include "storage/server_discovery.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include "util/cleanup.h"
#include "util/clock.h"

#define TARGETS_MAX 64
#define LUNS_MAX 256
#define TICK_MS 200	/* libiscsi looks after its own time when it is called */
#define TRIES 3		/* a new session's first commands report that something changed */
#define READ_SIZE 65536 /* below every target's limit */
#define END_SIZE UINT64_C(1048576)

CLEANUP_DEFINE(struct scsi_task *, scsi_free_scsi_task)

struct session {
	struct iscsi_context *context;
	mono_t deadline;
	bool ended;
	int status;
	void *data;
	void (*take)(struct session *session); /* of what is only valid in the callback; NULL: nothing */
	struct iscsi_target *targets;	       /* of a discovery */
	size_t n_targets;
	int socket_error;	/* of the connection, which libiscsi does not tell */
	struct scsi_task *late; /* libiscsi's until the session ends */
};

static void answered(struct iscsi_context *context, int status, void *data, void *private_data)
{
	struct session *session = private_data;

	session->ended = true;
	session->status = status;
	session->data = data;
	if (status == SCSI_STATUS_GOOD && session->take)
		session->take(session);
}

static void take_socket_error(struct session *session)
{
	socklen_t size = sizeof(session->socket_error);

	if (session->socket_error == 0 && getsockopt(iscsi_get_fd(session->context), SOL_SOCKET, SO_ERROR,
						     &session->socket_error, &size) < 0)
		session->socket_error = 0;
}

/* `begun`: what the call returned that began it. 0, -ETIMEDOUT, -EIO: libiscsi can say why. */
static int wait_for(struct session *session, int begun)
{
	if (begun != 0)
		return -EIO;
	while (!session->ended) {
		mono_t left = session->deadline - clock_mono();
		struct pollfd fd = {.fd = iscsi_get_fd(session->context),
				    .events = (short)iscsi_which_events(session->context)};

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&fd, 1, left < TICK_MS ? (int)left : TICK_MS) < 0 && errno != EINTR)
			return -errno;
		if (fd.revents & (POLLERR | POLLHUP))
			take_socket_error(session);
		if (iscsi_service(session->context, fd.revents) < 0 && !session->ended)
			return session->socket_error > 0 ? -session->socket_error : -EIO;
	}
	session->ended = false;
	if (session->status == SCSI_STATUS_GOOD)
		return 0;
	return session->socket_error > 0 ? -session->socket_error : -EIO;
}

static int explain(struct session *session, int error, char *ret, size_t size)
{
	const char *text = session->context ? iscsi_get_error(session->context) : NULL;

	if (error == -EIO && text && text[0])
		snprintf(ret, size, "%.200s", text);
	else
		snprintf(ret, size, "%s", error == -ETIMEDOUT ? "no answer" : strerror(-error));
	ret[strcspn(ret, "\n")] = '\0';
	return error;
}

static void session_close(struct session *session)
{
	if (session->context)
		iscsi_destroy_context(session->context);
	session->context = NULL;
	if (session->late)
		scsi_free_scsi_task(session->late);
	session->late = NULL;
}

static int session_open(const struct iscsi_query *query, const char *portal, const char *target,
			mono_t deadline, struct session *session)
{
	int r = -ENOMEM;

	*session = (struct session){.context = iscsi_create_context(query->initiator), .deadline = deadline};
	if (!session->context)
		return r;
	iscsi_set_noautoreconnect(session->context, 1);
	iscsi_set_session_type(session->context, target ? ISCSI_SESSION_NORMAL : ISCSI_SESSION_DISCOVERY);
	if ((target && iscsi_set_targetname(session->context, target) != 0) ||
	    (query->user &&
	     iscsi_set_initiator_username_pwd(session->context, query->user, query->secret) != 0))
		return -EIO;
	r = wait_for(session, iscsi_connect_async(session->context, portal, answered, session));
	return r < 0 ? r : wait_for(session, iscsi_login_async(session->context, answered, session));
}

/* The list is libiscsi's until its callback ends. */
static void take_targets(struct session *session)
{
	const struct iscsi_discovery_address *list = session->data;
	size_t n = 0;

	for (const struct iscsi_discovery_address *at = list; at && n < TARGETS_MAX; at = at->next)
		n++;
	session->targets = calloc(n + 1, sizeof(*session->targets));
	if (!session->targets)
		return;
	session->n_targets = n;
	for (size_t i = 0; i < n; i++, list = list->next) {
		struct iscsi_target *to = &session->targets[i];

		snprintf(to->iqn, sizeof(to->iqn), "%s", list->target_name);
		for (const struct iscsi_target_portal *at = list->portals;
		     at && to->n_portals < TARGET_PORTALS_MAX; at = at->next)
			snprintf(to->portals[to->n_portals++], sizeof(to->portals[0]), "%s", at->portal);
	}
}

/* The answer to one command. 0 and the task; else *ret is the task that failed, or NULL. */
static int answer_of(struct session *session, struct scsi_task *task, struct scsi_task **ret)
{
	int r = wait_for(session, task ? 0 : -1);

	if (r == -ETIMEDOUT)
		session->late = TAKE_PTR(task);
	*ret = task;
	return r;
}

/* Retried while the target only tells that the session is new to it. */
static int command(struct session *session, struct scsi_task *(*send)(struct session *session, int lun),
		   int lun, struct scsi_task **ret)
{
	int r = -EIO;

	for (int i = 0; i < TRIES; i++) {
		_cleanup_(scsi_free_scsi_task_p) struct scsi_task *task = NULL;

		r = answer_of(session, send(session, lun), &task);
		if (r == 0) {
			*ret = TAKE_PTR(task);
			return 0;
		}
		if (!task || task->status != SCSI_STATUS_CHECK_CONDITION ||
		    task->sense.key != SCSI_SENSE_UNIT_ATTENTION)
			break;
	}
	return r;
}

static struct scsi_task *send_report(struct session *session, int lun)
{
	return iscsi_reportluns_task(session->context, 0, 16 + LUNS_MAX * 8, answered, session);
}

static struct scsi_task *send_inquiry(struct session *session, int lun)
{
	return iscsi_inquiry_task(session->context, lun, 0, 0, 255, answered, session);
}

static struct scsi_task *send_serial(struct session *session, int lun)
{
	return iscsi_inquiry_task(session->context, lun, 1, SCSI_INQUIRY_PAGECODE_UNIT_SERIAL_NUMBER, 255,
				  answered, session);
}

static struct scsi_task *send_identification(struct session *session, int lun)
{
	return iscsi_inquiry_task(session->context, lun, 1, SCSI_INQUIRY_PAGECODE_DEVICE_IDENTIFICATION, 255,
				  answered, session);
}

static struct scsi_task *send_capacity(struct session *session, int lun)
{
	return iscsi_readcapacity16_task(session->context, lun, answered, session);
}

/* Without the blanks around it: fields of fixed length, numbers padded on the left. */
static void put_trimmed(char *to, size_t size, const char *from, size_t length)
{
	while (length > 0 && (from[length - 1] == ' ' || from[length - 1] == '\0'))
		length--;
	for (; length > 0 && *from == ' '; from++)
		length--;
	if (length >= size)
		length = size - 1;
	memcpy(to, from, length);
	to[length] = '\0';
}

/* The LUN's own designator that says most, as the kernel writes it in `wwid`. */
static void put_wwid(const struct scsi_inquiry_device_identification *page, struct lun *lun)
{
	static const struct {
		enum scsi_designator_type type;
		const char *prefix;
	} kinds[] = {{SCSI_DESIGNATOR_TYPE_NAA, "naa."},
		     {SCSI_DESIGNATOR_TYPE_EUI_64, "eui."},
		     {SCSI_DESIGNATOR_TYPE_T10_VENDORT_ID, "t10."}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (const struct scsi_inquiry_device_designator *at = page->designators; at; at = at->next) {
			size_t used;

			if (at->designator_type != kinds[i].type ||
			    at->association != SCSI_ASSOCIATION_LOGICAL_UNIT || at->designator_length <= 0)
				continue;
			used = (size_t)snprintf(lun->wwid, sizeof(lun->wwid), "%s", kinds[i].prefix);
			if (at->code_set != SCSI_CODESET_BINARY) {
				put_trimmed(lun->wwid + used, sizeof(lun->wwid) - used, at->designator,
					    (size_t)at->designator_length);
				return;
			}
			for (int k = 0; k < at->designator_length && used + 3 < sizeof(lun->wwid); k++)
				used += (size_t)sprintf(lun->wwid + used, "%02x",
							(unsigned char)at->designator[k]);
			return;
		}
}

static int copy_part(struct session *session, const struct lun *lun, uint64_t at, int to)
{
	_cleanup_(scsi_free_scsi_task_p) struct scsi_task *task = NULL;
	struct scsi_task *sent =
		iscsi_read16_task(session->context, lun->number, at / lun->sector_size, READ_SIZE,
				  (int)lun->sector_size, 0, 0, 0, 0, 0, answered, session);
	int r = answer_of(session, sent, &task);

	if (r < 0)
		return r;
	if (task->datain.size < READ_SIZE)
		return -EIO;
	return pwrite(to, task->datain.data, READ_SIZE, (off_t)at) == READ_SIZE ? 0 : -errno;
}

/* Both ends, which do not meet, are copied into a file of the same size in memory, for those who know what
 * signatures mean. */
static int look_at_ends(struct session *session, const struct lun *lun, char ret[CONTENT_TEXT_SIZE])
{
	_cleanup_close_ int fd = memfd_create("lun", MFD_CLOEXEC);
	int r = 0;

	if (fd < 0 || ftruncate(fd, (off_t)lun->size) < 0)
		return -errno;
	for (uint64_t at = 0; r == 0 && at < END_SIZE; at += READ_SIZE) {
		r = copy_part(session, lun, at, fd);
		if (r == 0)
			r = copy_part(session, lun, lun->size - END_SIZE + at, fd);
	}
	return r < 0 ? r : content_of_disk(fd, lun->size, lun->sector_size, ret);
}

static int ask_lun(struct session *session, struct lun *lun)
{
	_cleanup_(scsi_free_scsi_task_p) struct scsi_task *inquiry = NULL, *capacity = NULL, *serial = NULL,
							  *identification = NULL;
	const struct scsi_inquiry_standard *standard;
	const struct scsi_readcapacity16 *size;
	char text[CONTENT_TEXT_SIZE] = "";
	int r;

	r = command(session, send_inquiry, lun->number, &inquiry);
	standard = r == 0 ? scsi_datain_unmarshall(inquiry) : NULL;
	if (!standard)
		return r < 0 ? r : -EIO;
	if (standard->device_type != SCSI_INQUIRY_PERIPHERAL_DEVICE_TYPE_DIRECT_ACCESS ||
	    standard->qualifier != SCSI_INQUIRY_PERIPHERAL_QUALIFIER_CONNECTED)
		return -ENOTBLK;
	put_trimmed(lun->vendor, sizeof(lun->vendor), standard->vendor_identification, 8);
	put_trimmed(lun->model, sizeof(lun->model), standard->product_identification, 16);
	r = command(session, send_capacity, lun->number, &capacity);
	size = r == 0 ? scsi_datain_unmarshall(capacity) : NULL;
	if (!size)
		return r < 0 ? r : -EIO;
	lun->sector_size = size->block_length;
	lun->size = (size->returned_lba + 1) * size->block_length;
	/* Not all have these pages. */
	r = command(session, send_serial, lun->number, &serial);
	if (r == 0) {
		const struct scsi_inquiry_unit_serial_number *page = scsi_datain_unmarshall(serial);

		if (page)
			put_trimmed(lun->serial, sizeof(lun->serial), page->usn, strlen(page->usn));
	}
	if (r != -ETIMEDOUT)
		r = command(session, send_identification, lun->number, &identification);
	if (r == 0) {
		const struct scsi_inquiry_device_identification *page =
			scsi_datain_unmarshall(identification);

		if (page)
			put_wwid(page, lun);
	}
	if (lun->size < 2 * END_SIZE) { /* no domain's, and its ends would meet */
		snprintf(lun->holds, sizeof(lun->holds), "too small");
		return r == -ETIMEDOUT ? r : 0;
	}
	if (lun->sector_size == 512 || lun->sector_size == 4096)
		r = r == -ETIMEDOUT ? r : look_at_ends(session, lun, text);
	else
		r = -ENOTSUP;
	lun->use = r > 0 ? LUN_USED : r == 0 ? LUN_FREE : LUN_UNKNOWN;
	if (r < 0)
		explain(session, r, lun->holds, sizeof(lun->holds));
	else
		memcpy(lun->holds, text, sizeof(text));
	return r == -ETIMEDOUT ? r : 0;
}

static int ask_luns(struct session *session, struct iscsi_target *target)
{
	_cleanup_(scsi_free_scsi_task_p) struct scsi_task *report = NULL;
	const struct scsi_reportluns_list *list;
	uint32_t n;
	int r;

	r = command(session, send_report, 0, &report);
	list = r == 0 ? scsi_datain_unmarshall(report) : NULL;
	if (!list)
		return r < 0 ? r : -EIO;
	n = list->num < LUNS_MAX ? list->num : LUNS_MAX;
	target->luns = calloc(n + 1, sizeof(*target->luns));
	if (!target->luns)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct lun *lun = &target->luns[target->n_luns];

		*lun = (struct lun){.number = list->luns[i], .transport = "iscsi"};
		r = ask_lun(session, lun);
		if (r == -ENOTBLK)
			continue; /* the target's controller */
		target->n_luns++;
		if (r < 0)
			explain(session, r, lun->holds, sizeof(lun->holds));
		if (r == -ETIMEDOUT)
			return r;
	}
	return 0;
}

/* "ADDRESS:PORT,GROUP" without the group. */
static void put_address(const char *portal, char ret[128])
{
	snprintf(ret, 128, "%.127s", portal);
	ret[strcspn(ret, ",")] = '\0';
}

/* The portals in turn, the one that was asked for the targets first: it is known to answer. */
static int ask_target(const struct iscsi_query *query, struct iscsi_target *target, mono_t deadline)
{
	struct session session = {0};
	char portal[128];
	int r = -ENOTCONN;

	for (unsigned pass = 0; pass < 2 && r < 0; pass++)
		for (unsigned i = 0; i < target->n_portals && r < 0; i++) {
			mono_t now = clock_mono(), share = (deadline - now) / (target->n_portals + 1 - i);

			put_address(target->portals[i], portal);
			if ((strncmp(portal, query->portal, strlen(query->portal)) == 0) != (pass == 0))
				continue;
			r = session_open(query, portal, target->iqn, now + share, &session);
			if (r < 0)
				explain(&session, r, target->trouble, sizeof(target->trouble));
			else
				break;
			session_close(&session);
		}
	if (r == 0) {
		session.deadline = deadline;
		target->trouble[0] = '\0';
		r = ask_luns(&session, target);
		if (r < 0)
			explain(&session, r, target->trouble, sizeof(target->trouble));
	}
	if (r < 0 && !target->trouble[0])
		snprintf(target->trouble, sizeof(target->trouble), "the server names no portal of it");
	session_close(&session);
	return r;
}

int iscsi_targets_find(const struct iscsi_query *query, mono_t deadline, struct iscsi_target **ret,
		       size_t *ret_n, char ret_why[DISCOVERY_WHY_SIZE])
{
	struct session session;
	struct iscsi_target *targets;
	char why[256];
	size_t n;
	int r;

	r = session_open(query, query->portal, NULL, deadline, &session);
	session.take = take_targets;
	if (r == 0)
		r = wait_for(&session, iscsi_discovery_async(session.context, answered, &session));
	if (r == 0 && !session.targets)
		r = -ENOMEM;
	if (r < 0) {
		explain(&session, r, why, sizeof(why));
		snprintf(ret_why, DISCOVERY_WHY_SIZE, "%.200s: %s", query->portal, why);
		session_close(&session);
		free(session.targets);
		return r;
	}
	session_close(&session);
	targets = session.targets;
	n = session.n_targets;
	for (size_t i = 0; i < n; i++) {
		mono_t now = clock_mono();

		/* One that hangs leaves the others their time. */
		ask_target(query, &targets[i], now + (deadline - now) / (mono_t)(n - i));
	}
	*ret = targets;
	*ret_n = n;
	return 0;
}

void iscsi_targets_free(struct iscsi_target *targets, size_t n)
{
	for (size_t i = 0; targets && i < n; i++)
		free(targets[i].luns);
	free(targets);
}
