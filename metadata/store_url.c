/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides whether the spec of a networked store has the right form and takes it apart. It may not resolve
 * names nor know what the parts mean. Called by the networked stores. */
#include "metadata/store_url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
/* Whatever is added to it, a whole whiteboard, still is a file offset. */
#define OFFSET_MAX (UINT64_C(1) << 60)

static int wrong(char *what, size_t size, const char *text)
{
	snprintf(what, size, "%s", text);
	return -EINVAL;
}

/* Digits alone. */
static int parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;
	unsigned long long value;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end || errno != 0 || value > max)
		return -EINVAL;
	*ret = value;
	return 0;
}

/* HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT. */
static int parse_place(char *text, struct store_place *ret, char *what, size_t size)
{
	uint8_t address[sizeof(struct in6_addr)];
	char *host = text, *port = NULL;
	uint64_t number = 0;

	if (text[0] == '[') {
		char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			return wrong(what, size, "has a [ that no ] ends; give [ADDRESS] or [ADDRESS]:PORT");
		*end = '\0';
		host = text + 1;
		port = end[1] ? end + 2 : NULL;
		if (inet_pton(AF_INET6, host, address) != 1)
			return wrong(what, size, "has no IPv6 address in its brackets");
	} else {
		port = strchr(text, ':');
		if (port)
			*port++ = '\0';
		if (!host[0] || host[strspn(host, HOST_BYTES)])
			return wrong(
				what, size,
				"names no server; give a host name, an IPv4 address or an IPv6 address in "
				"brackets");
	}
	if (strlen(host) >= sizeof(ret->host))
		return wrong(what, size, "has a host name that is too long");
	if (port && (parse_number(port, 65535, &number) < 0 || number == 0))
		return wrong(what, size, "has a port that is no number from 1 to 65535");
	strcpy(ret->host, host);
	ret->port = (uint16_t)number;
	return 0;
}

static int parse_places(char *text, struct store_url *ret, char *what, size_t size)
{
	char *rest = text, *place;
	int r = 0;

	while (r == 0 && (place = strsep(&rest, ","))) {
		if (ret->n_places == STORE_PLACES_MAX)
			return wrong(what, size, "names more than 8 servers");
		r = parse_place(place, &ret->places[ret->n_places++], what, size);
	}
	return r;
}

static int parse_parameters(char *text, struct store_url *ret, char *what, size_t size)
{
	char *rest = text, *parameter;

	while ((parameter = strsep(&rest, "&"))) {
		char *value = strchr(parameter, '=');

		if (!value || value == parameter || !value[1])
			return wrong(what, size, "has a parameter that is not NAME=VALUE after its ?");
		if (ret->n_parameters == STORE_PARAMETERS_MAX)
			return wrong(what, size, "has too many parameters");
		*value++ = '\0';
		ret->parameters[ret->n_parameters++] = (struct store_parameter){parameter, value};
	}
	return 0;
}

static int parse(struct store_url *ret, char *what, size_t size)
{
	char *host = strstr(ret->text, "://"), *path, *parameters;
	int r;

	if (!host)
		return wrong(what, size, "is no SCHEME://SERVER/PATH");
	host += 3;
	for (const char *c = host; *c; c++)
		if (*c <= ' ' || *c > '~')
			return wrong(what, size, "has a blank or a byte that is no ASCII");
	parameters = strchr(host, '?');
	if (parameters)
		*parameters++ = '\0';
	path = strchr(host, '/');
	if (!path || !path[1])
		return wrong(what, size, "names no path behind its server");
	/* The path keeps its slash: what is before it moves. */
	ret->path = path;
	memmove(ret->text, host, (size_t)(path - host));
	ret->text[path - host] = '\0';
	r = parse_places(ret->text, ret, what, size);
	if (r == 0 && parameters)
		r = parse_parameters(parameters, ret, what, size);
	return r;
}

int store_url_parse(const char *spec, struct store_url *ret, char *what, size_t size)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->text = strdup(spec);
	if (!ret->text)
		return -ENOMEM;
	r = parse(ret, what, size);
	if (r < 0)
		store_url_done(ret);
	return r;
}

void store_url_done(struct store_url *url)
{
	free(url->text);
	memset(url, 0, sizeof(*url));
}

const char *store_url_text(const struct store_url *url, const char *name)
{
	for (size_t i = 0; i < url->n_parameters; i++)
		if (strcmp(url->parameters[i].name, name) == 0)
			return url->parameters[i].value;
	return NULL;
}

int store_url_number(const struct store_url *url, const char *name, uint64_t min, uint64_t max,
		     uint64_t *value, char *what, size_t size)
{
	const char *text = store_url_text(url, name);
	uint64_t number;

	if (!text)
		return 0;
	if (parse_number(text, max, &number) < 0 || number < min) {
		snprintf(what, size, "has %s=%s; give a whole number, %llu to %llu", name, text,
			 (unsigned long long)min, (unsigned long long)max);
		return -EINVAL;
	}
	*value = number;
	return 0;
}

int store_url_known(const struct store_url *url, const char *const *names, char *what, size_t size)
{
	for (size_t i = 0; i < url->n_parameters; i++) {
		const char *name = url->parameters[i].name;
		bool known = false;

		for (size_t j = 0; names[j]; j++)
			known |= strcmp(name, names[j]) == 0;
		if (known && store_url_text(url, name) == url->parameters[i].value)
			continue;
		snprintf(what, size, "has the parameter %s, which %s; see hosted-engine.conf(5)", name,
			 known ? "stands twice" : "is not known");
		return -EINVAL;
	}
	return 0;
}

int store_url_offset(const struct store_url *url, uint64_t *ret, char *what, size_t size)
{
	uint64_t offset = 0;
	int r = store_url_number(url, "offset", 0, OFFSET_MAX, &offset, what, size);

	if (r < 0)
		return r;
	if (offset % 512 != 0)
		return wrong(what, size, "has an offset that is no multiple of 512");
	*ret = offset;
	return 0;
}
