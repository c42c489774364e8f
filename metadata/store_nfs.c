/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store of a file on an NFS server, by libnfs. It decides how the library is asked and what its errors
 * mean; metadata/store_remote.c decides about connections and time. It may not use a context again that had
 * an error, nor serve anything that another host may have written over. Called by metadata/store_open.c. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <nss.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <nfsc/libnfs.h>

#include "metadata/nfs_write.h"
#include "metadata/store_kinds.h"
#include "metadata/store_remote.h"
#include "util/cleanup.h"

/* Over NFSv4 the library has no room for more than about 3900 bytes in one call. */
#define V4_WRITE_BYTES 2048
/* Bytes in one call: servers that name no limit take this much. */
#define READ_BYTES (1024 * 1024)
/* Somebody may have put another file in the path's place: how long a handle is good without a look. */
#define LOOK_MS 2000

struct nfs_config {
	char *folder, *file; /* what is mounted, and "/NAME" in it */
	uint16_t mount_port;
	int version;
	int uid, gid;	 /* -1: our own */
	char client[48]; /* NFSv4's name of us: the server keeps what is open by it */
	unsigned connections;
};

struct nfs_link {
	struct remote_queue *queue;
	const struct nfs_config *config;
	struct nfs_context *nfs;
	struct nfsfh *file;
	uint64_t device, inode, length; /* of the file, when it was looked at */
	mono_t looked_at;		/* MONO_UNSET: never since it was opened */
	uint64_t at;
	uint8_t *buffer;     /* of a read */
	const uint8_t *data; /* of a write */
	size_t size, done;   /* bytes; a write goes from the end to the begin */
	size_t asked;
};

/* The library's own failures come as errors of system calls that did not fail. */
static int translate(int error)
{
	switch (error) {
	case -EFAULT:
	case -EINTR:
		return -ECONNRESET;
	case -ERANGE:
		return -EIO;
	default:
		return error;
	}
}

static int begun(int r)
{
	return r < 0 ? -ENOMEM : 0; /* nothing else keeps the library from queueing a call */
}

static int ask(struct nfs_link *link);

static void write_done(int error, struct nfs_context *nfs, void *data, void *private)
{
	struct nfs_link *link = private;

	if (error < 0 || (size_t)error != link->asked) {
		remote_ended(link->queue, error < 0 ? translate(nfs_write_error(error, nfs)) : -EIO);
		return;
	}
	link->done += link->asked;
	if (link->done == link->size || ask(link) < 0)
		remote_ended(link->queue, link->done == link->size ? 0 : -ENOMEM);
}

static void read_done(int error, struct nfs_context *nfs, void *data, void *private)
{
	struct nfs_link *link = private;

	if (error < 0 || (size_t)error > link->asked) {
		remote_ended(link->queue, error < 0 ? translate(error) : -EIO);
		return;
	}
	if (error > 0)
		memcpy(link->buffer + link->done, data, (size_t)error);
	link->done += (size_t)error;
	if (error == 0) { /* the end of the file */
		memset(link->buffer + link->done, 0, link->size - link->done);
		link->done = link->size;
	}
	if (link->done == link->size || ask(link) < 0)
		remote_ended(link->queue, link->done == link->size ? 0 : -ENOMEM);
}

/* The next call. A write that needs several goes from the end to the begin: the line that readers go by is in
 * a record's first bytes, and comes last. Half of it is known by its CRC and by the timestamp that stands
 * twice. */
static int ask(struct nfs_link *link)
{
	size_t left = link->size - link->done, most;

	if (!link->data) {
		most = nfs_get_readmax(link->nfs); /* 0 over NFSv4: the library does not ask */
		if (most == 0 || most > READ_BYTES)
			most = READ_BYTES;
		link->asked = left < most ? left : most;
		return begun(nfs_pread_async(link->nfs, link->file, link->at + link->done, link->asked,
					     read_done, link));
	}
	/* A file that was cut short is not made longer: whoever cut it has another one in mind. */
	if (link->at + link->size > link->length)
		return -EFBIG;
	most = link->config->version == 4 ? V4_WRITE_BYTES : BLOCK_SIZE;
	link->asked = left < most ? left : most;
	left -= link->asked;
	return begun(nfs_pwrite_async(link->nfs, link->file, link->at + left, link->asked, link->data + left,
				      write_done, link));
}

static bool same_file(const struct nfs_link *link, const struct nfs_stat_64 *st)
{
	return link->inode == st->nfs_ino && link->device == st->nfs_dev;
}

static void looked(int error, struct nfs_context *nfs, void *data, void *private)
{
	struct nfs_link *link = private;

	/* Writing on into a file that was replaced would be a host that nobody sees. */
	if (error == 0 && !same_file(link, data))
		error = -ESTALE;
	if (error == 0) {
		link->length = ((const struct nfs_stat_64 *)data)->nfs_size;
		error = ask(link);
	}
	if (error < 0)
		remote_ended(link->queue, translate(error));
}

static int begin_io(struct nfs_link *link, mono_t now)
{
	link->done = 0;
	if (link->looked_at != MONO_UNSET && !mono_passed(link->looked_at, LOOK_MS, now))
		return ask(link);
	if (link->looked_at == MONO_UNSET) { /* just opened */
		link->looked_at = now;
		return ask(link);
	}
	link->looked_at = now;
	return begun(nfs_stat64_async(link->nfs, link->config->file, looked, link));
}

static int link_read(void *base, uint64_t at, uint8_t *buffer, size_t size, mono_t now)
{
	struct nfs_link *link = base;

	link->at = at;
	link->buffer = buffer;
	link->data = NULL;
	link->size = size;
	return begin_io(link, now);
}

static int link_write(void *base, uint64_t at, const uint8_t *data, size_t size, mono_t now)
{
	struct nfs_link *link = base;

	link->at = at;
	link->data = data;
	link->size = size;
	return begin_io(link, now);
}

/* While it connects, the library's own failure is one of reaching the server. */
static void connected(struct nfs_link *link, int error)
{
	error = translate(error);
	remote_ended(link->queue, error == -ECONNRESET ? -ECONNREFUSED : error);
}

static void stat_done(int error, struct nfs_context *nfs, void *data, void *private)
{
	struct nfs_link *link = private;
	const struct nfs_stat_64 *st = data;

	if (error == 0) {
		link->device = st->nfs_dev;
		link->inode = st->nfs_ino;
		link->length = st->nfs_size;
		if ((st->nfs_mode & S_IFMT) != S_IFREG)
			error = -EINVAL;
	}
	connected(link, error);
}

static void open_done(int error, struct nfs_context *nfs, void *data, void *private)
{
	struct nfs_link *link = private;

	if (error == 0) {
		link->file = data;
		error = begun(nfs_fstat64_async(nfs, link->file, stat_done, link));
	}
	/* Over NFSv4 the library asks whether the folder may be written, and says this when it may not. */
	if (error == -EINVAL && link->config->version == 4)
		error = -EACCES;
	if (error < 0)
		connected(link, error);
}

static void mount_done(int error, struct nfs_context *nfs, void *data, void *private)
{
	struct nfs_link *link = private;

	if (error == 0)
		error = begun(nfs_open_async(nfs, link->config->file, O_RDWR | O_SYNC, open_done, link));
	if (error < 0)
		connected(link, error);
}

/* The library takes ports from an address of its own form alone. */
static int set_ports(struct nfs_context *nfs, uint16_t port, uint16_t mount_port)
{
	char text[80] = "nfs://server/folder/file";
	size_t length = strlen(text);
	struct nfs_url *url;

	if (port)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "?nfsport=%u", port);
	if (mount_port)
		snprintf(text + length, sizeof(text) - length, "%cmountport=%u", port ? '&' : '?',
			 mount_port);
	if (!port && !mount_port)
		return 0;
	url = nfs_parse_url_full(nfs, text);
	if (!url)
		return -ENOMEM;
	nfs_destroy_url(url);
	return 0;
}

static void closed(int error, struct nfs_context *nfs, void *data, void *private)
{
}

static void link_destroy(void *base)
{
	struct nfs_link *link = base;

	if (!link)
		return;
	/* For the library's memory alone: what it queues for the server goes with the context, and there is
	 * no connection any more. */
	if (link->file)
		nfs_close_async(link->nfs, link->file, closed, NULL);
	if (link->nfs)
		nfs_destroy_context(link->nfs);
	free(link);
}

static int set_up(struct nfs_link *link, struct nfs_config *config, const struct remote_address *address)
{
	char verifier[24];
	int r;

	link->nfs = nfs_init_context();
	if (!link->nfs)
		return -ENOMEM;
	r = set_ports(link->nfs, address->port, config->mount_port);
	if (r < 0)
		return r;
	if (nfs_set_version(link->nfs, config->version) < 0)
		return -EINVAL;
	nfs_set_autoreconnect(link->nfs, 0);
	nfs_set_timeout(link->nfs, -1); /* the loop's deadline is the only one */
	/* The page cache and readahead stay untouched: set to whatever, 0 included, they begin to keep
	 * blocks. */
	nfs_set_dircache(link->nfs, 0);
	if (config->uid >= 0)
		nfs_set_uid(link->nfs, config->uid);
	if (config->gid >= 0)
		nfs_set_gid(link->nfs, config->gid);
	/* Each link is another client: the server must not take one for the restart of another. */
	snprintf(verifier, sizeof(verifier), "%08x", ++config->connections);
	nfs4_set_verifier(link->nfs, verifier);
	return 0;
}

static int link_connect(void *base, const struct remote_address *address, struct remote_queue *queue,
			void **ret_link)
{
	struct nfs_config *config = base;
	struct nfs_link *link = calloc(1, sizeof(*link));
	char client[80];
	int r;

	if (!link)
		return -ENOMEM;
	link->queue = queue;
	link->config = config;
	link->looked_at = MONO_UNSET;
	r = set_up(link, config, address);
	/* Only where it is needed: the library loses the name that it had before, 48 bytes of the heap.
	 * Whoever calls tries again once a second in each of three queues: 12 MB on a day of a server that
	 * refuses. */
	if (r == 0 && config->version == 4) {
		snprintf(client, sizeof(client), "%s %u", config->client, config->connections);
		nfs4_set_client_name(link->nfs, client);
	}
	if (r == 0)
		/* It fails at once where no way leads there. */
		r = nfs_mount_async(link->nfs, address->text, config->folder, mount_done, link) < 0
			    ? -ENETUNREACH
			    : 0;
	if (r < 0) {
		link_destroy(link);
		return r;
	}
	*ret_link = link;
	return 0;
}

static int link_fd(void *base)
{
	return nfs_get_fd(((struct nfs_link *)base)->nfs);
}

static int link_events(void *base)
{
	return nfs_which_events(((struct nfs_link *)base)->nfs);
}

static int link_service(void *base, int revents)
{
	return nfs_service(((struct nfs_link *)base)->nfs, revents) < 0 ? -ECONNRESET : 0;
}

static void config_free(void *base)
{
	struct nfs_config *config = base;

	if (!config)
		return;
	free(config->folder);
	free(config->file);
	free(config);
}

static const struct remote_library library = {
	link_connect, link_read, link_write, link_fd, link_events, link_service, link_destroy, config_free,
};

static int take_numbers(const struct store_url *url, struct nfs_config *config, uint64_t *ret_offset,
			char *what, size_t size)
{
	uint64_t version = 3, mount_port = 0, uid = UINT32_MAX, gid = UINT32_MAX;
	int r = store_url_number(url, "version", 3, 4, &version, what, size);

	if (r == 0)
		r = store_url_number(url, "mountport", 1, 65535, &mount_port, what, size);
	if (r == 0)
		r = store_url_number(url, "uid", 0, INT32_MAX, &uid, what, size);
	if (r == 0)
		r = store_url_number(url, "gid", 0, INT32_MAX, &gid, what, size);
	if (r == 0)
		r = store_url_offset(url, ret_offset, what, size);
	if (r < 0)
		return r;
	config->version = (int)version;
	config->mount_port = (uint16_t)mount_port;
	config->uid = uid > INT32_MAX ? -1 : (int)uid;
	config->gid = gid > INT32_MAX ? -1 : (int)gid;
	return 0;
}

static int take_path(const struct store_url *url, struct nfs_config *config, char *what, size_t size)
{
	const char *slash = strrchr(url->path, '/');

	if (slash == url->path || !slash[1]) {
		snprintf(what, size, "names no file in an export; give nfs://SERVER/EXPORT/FILE");
		return -EINVAL;
	}
	config->folder = strndup(url->path, (size_t)(slash - url->path));
	config->file = strdup(slash);
	return config->folder && config->file ? 0 : -ENOMEM;
}

static int name_client(struct nfs_config *config)
{
	uint8_t bytes[16];
	int n = snprintf(config->client, sizeof(config->client), "ovirt-ha ");

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		n += snprintf(config->client + n, sizeof(config->client) - (size_t)n, "%02x", bytes[i]);
	return 0;
}

static int make_config(const struct store_url *url, struct nfs_config *config, uint64_t *ret_offset,
		       char *what, size_t size)
{
	static const char *const known[] = {"version", "mountport", "uid", "gid", "offset", NULL};
	int r = store_url_known(url, known, what, size);

	if (r == 0)
		r = take_numbers(url, config, ret_offset, what, size);
	if (r == 0)
		r = take_path(url, config, what, size);
	if (r == 0)
		r = name_client(config);
	return r;
}

int store_nfs_new(const struct store_url *url, const struct store_access *access, struct loop *loop,
		  struct store **ret, char *what, size_t size)
{
	struct nfs_config *config = calloc(1, sizeof(*config));
	uint64_t offset = 0;
	int r;

	if (!config)
		return -ENOMEM;
	r = make_config(url, config, &offset, what, size);
	/* For each connection the library asks which ports are of known services. Where nsswitch.conf names
	 * others, that would be a question to a server, in the loop: in this process files alone are asked.
	 */
	if (r == 0 && __nss_configure_lookup("services", "files") < 0)
		r = -ENOMEM;
	if (r == 0 && loop)
		r = store_remote_new(url->places, url->n_places, offset, &library, config, loop, ret);
	if (r < 0 || !loop)
		config_free(config);
	return r;
}
