/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes the engine VM's definition. It decides the devices that every engine has; what may run with the
 * lease is daemon/domain_xml.c's, and has to pass it. Called by deployment. */
#include "deploy/engine_xml.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <libxml/xmlwriter.h>

#include "util/cleanup.h"

#define CPUS_MAX 710 /* QEMU's, of a q35 */
#define MEMORY_MIN_MIB 128
#define MEMORY_MAX_MIB (16 * 1024 * 1024)
#define DISK_PATH_MAX 1023
#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

CLEANUP_DEFINE(xmlBufferPtr, xmlBufferFree)
CLEANUP_DEFINE(xmlTextWriterPtr, xmlFreeTextWriter)

int engine_xml_secret(char ret[ENGINE_XML_SECRET_SIZE])
{
	static const char alphabet[] = LETTERS DIGITS "._"; /* 64 of them */
	uint8_t bytes[ENGINE_XML_SECRET_SIZE - 1];

	_Static_assert(sizeof(alphabet) == 65, "each as likely");
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		ret[i] = alphabet[bytes[i] % 64];
	ret[sizeof(bytes)] = '\0';
	return 0;
}

int engine_xml_mac(char ret[18])
{
	uint8_t bytes[3];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	snprintf(ret, 18, "52:54:00:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2]);
	return 0;
}

__attribute__((format(printf, 2, 3))) static int wrong(char ret_why[ENGINE_XML_WHY_SIZE], const char *format,
						       ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(ret_why, ENGINE_XML_WHY_SIZE, format, args);
	va_end(args);
	return -EINVAL;
}

static bool is_text(const char *text, size_t max)
{
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	return text[0] && strlen(text) <= max && xmlCheckUTF8((const unsigned char *)text);
}

static bool is_word(const char *text)
{
	return is_text(text, 64) && !text[strspn(text, LETTERS DIGITS "._-")];
}

static bool is_path(const char *path)
{
	return path[0] == '/' && is_text(path, DISK_PATH_MAX);
}

static bool is_uuid(const char *text)
{
	if (strlen(text) != 36)
		return false;
	for (size_t i = 0; i < 36; i++) {
		bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;

		if (hyphen ? text[i] != '-' : !strchr(DIGITS "abcdefABCDEF", text[i]))
			return false;
	}
	return true;
}

static bool is_mac(const char *text)
{
	if (strlen(text) != 17)
		return false;
	for (size_t i = 0; i < 17; i++)
		if (i % 3 == 2 ? text[i] != ':' : !strchr(DIGITS "abcdefABCDEF", text[i]))
			return false;
	/* The lowest bit of the first byte is for groups of stations. */
	return !strchr("13579bdfBDF", text[1]) && strcmp(text, "00:00:00:00:00:00") != 0;
}

static bool is_address(const char *text)
{
	struct in6_addr address;

	return inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, &address) == 1;
}

static int check(const struct engine_vm *vm, char ret_why[ENGINE_XML_WHY_SIZE])
{
	if (!vm->name || !is_text(vm->name, 255) || strchr(vm->name, '/'))
		return wrong(ret_why, "name: it has 1 to 255 bytes, and neither control characters nor `/`");
	if (!vm->uuid || !is_uuid(vm->uuid))
		return wrong(ret_why, "uuid: it is none");
	if (vm->cpus < 1 || vm->cpus > CPUS_MAX)
		return wrong(ret_why, "processors: from 1 to %d", CPUS_MAX);
	if (vm->memory_mib < MEMORY_MIN_MIB || vm->memory_mib > MEMORY_MAX_MIB)
		return wrong(ret_why, "memory: from %d to %d MiB", MEMORY_MIN_MIB, MEMORY_MAX_MIB);
	if (vm->machine && !is_word(vm->machine))
		return wrong(ret_why, "machine: it is one of qemu-system-x86_64 -machine help");
	if (vm->cpu && !is_word(vm->cpu))
		return wrong(ret_why, "CPU model: it is one of virsh cpu-models x86_64");
	if (!vm->disk || !is_path(vm->disk))
		return wrong(ret_why, "disk: an absolute path of %d bytes at most", DISK_PATH_MAX);
	if (vm->iso && !is_path(vm->iso))
		return wrong(ret_why, "disc: an absolute path of %d bytes at most", DISK_PATH_MAX);
	if (!vm->mac || !is_mac(vm->mac))
		return wrong(ret_why, "MAC: six bytes in hexadecimal with colons, the first one even");
	if (!vm->bridge || !is_word(vm->bridge) || strlen(vm->bridge) > 15)
		return wrong(ret_why, "bridge: 1 to 15 letters, digits, `.`, `_`, `-`");
	if (vm->vnc && vm->vnc_listen && !is_address(vm->vnc_listen))
		return wrong(ret_why, "VNC: it listens on an address");
	if (vm->vnc && (!vm->secret || !is_word(vm->secret) || strlen(vm->secret) >= ENGINE_XML_SECRET_SIZE))
		return wrong(ret_why, "VNC: it needs a secret of 1 to %d letters and digits",
			     ENGINE_XML_SECRET_SIZE - 1);
	return 0;
}

/* An element's beginning with its attributes: name, value, .., NULL. What can fail is memory, which the
 * writer remembers. */
static void begin(xmlTextWriterPtr to, const char *element, ...)
{
	const char *name;
	va_list args;

	xmlTextWriterStartElement(to, (const xmlChar *)element);
	va_start(args, element);
	while ((name = va_arg(args, const char *)))
		xmlTextWriterWriteAttribute(to, (const xmlChar *)name,
					    (const xmlChar *)va_arg(args, const char *));
	va_end(args);
}

static void end(xmlTextWriterPtr to)
{
	xmlTextWriterEndElement(to);
}

#define EMPTY(to, ...)                                                                                       \
	do {                                                                                                 \
		begin(to, __VA_ARGS__, NULL);                                                                \
		end(to);                                                                                     \
	} while (0)

static void text(xmlTextWriterPtr to, const char *element, const char *value)
{
	xmlTextWriterWriteElement(to, (const xmlChar *)element, (const xmlChar *)value);
}

/* Ordinary: qemu64, the default, lacks what today's distributions are built for. */
static void write_cpu(xmlTextWriterPtr to, const struct engine_vm *vm)
{
	if (vm->cpu) {
		begin(to, "cpu", "mode", "custom", "match", "exact", NULL);
		begin(to, "model", "fallback", "forbid", NULL);
		xmlTextWriterWriteString(to, (const xmlChar *)vm->cpu);
		end(to);
		end(to);
	} else {
		EMPTY(to, "cpu", "mode", vm->emulated ? "maximum" : "host-model");
	}
}

/* Past the page cache: another host must see all that was written. The file's owner stays, since it lies on
 * storage that others use, too. */
static void write_disk(xmlTextWriterPtr to, const struct engine_vm *vm)
{
	const char *source = vm->disk_block ? "dev" : "file";

	begin(to, "disk", "type", vm->disk_block ? "block" : "file", "device", "disk", NULL);
	EMPTY(to, "driver", "name", "qemu", "type", "raw", "cache", "none", "io",
	      vm->disk_block ? "native" : "threads", "discard", "unmap");
	begin(to, "source", source, vm->disk, NULL);
	EMPTY(to, "seclabel", "model", "dac", "relabel", "no");
	end(to);
	EMPTY(to, "target", "dev", "vda", "bus", "virtio");
	EMPTY(to, "boot", "order", "1");
	end(to);
}

static void write_disc(xmlTextWriterPtr to, const struct engine_vm *vm)
{
	begin(to, "disk", "type", "file", "device", "cdrom", NULL);
	EMPTY(to, "driver", "name", "qemu", "type", "raw");
	/* It lies on the host that was deployed first, and others start without. */
	EMPTY(to, "source", "file", vm->iso, "startupPolicy", "optional");
	EMPTY(to, "target", "dev", "sda", "bus", "sata");
	EMPTY(to, "readonly");
	end(to);
}

/* Tools speak to the first serial line; SeaBIOS and the boot loader show on the display if there is one. */
static void write_consoles(xmlTextWriterPtr to, const struct engine_vm *vm)
{
	begin(to, "serial", "type", "pty", NULL);
	EMPTY(to, "target", "port", "0");
	end(to);
	begin(to, "console", "type", "pty", NULL);
	EMPTY(to, "target", "type", "serial", "port", "0");
	end(to);
	if (!vm->vnc)
		return;
	EMPTY(to, "graphics", "type", "vnc", "autoport", "yes", "listen",
	      vm->vnc_listen ? vm->vnc_listen : "0.0.0.0", "passwd", vm->secret, "passwdValidTo",
	      "1970-01-01T00:00:01");
	begin(to, "video", NULL);
	EMPTY(to, "model", "type", "vga");
	end(to);
	EMPTY(to, "input", "type", "tablet", "bus", "virtio");
}

static void write_devices(xmlTextWriterPtr to, const struct engine_vm *vm)
{
	begin(to, "devices", NULL);
	EMPTY(to, "controller", "type", "usb", "model", "none");
	write_disk(to, vm);
	if (vm->iso)
		write_disc(to, vm);
	begin(to, "interface", "type", "bridge", NULL);
	EMPTY(to, "mac", "address", vm->mac);
	EMPTY(to, "source", "bridge", vm->bridge);
	EMPTY(to, "model", "type", "virtio");
	end(to);
	write_consoles(to, vm);
	begin(to, "channel", "type", "unix", NULL);
	EMPTY(to, "target", "type", "virtio", "name", "org.qemu.guest_agent.0");
	end(to);
	begin(to, "rng", "model", "virtio", NULL);
	begin(to, "backend", "model", "random", NULL);
	xmlTextWriterWriteString(to, (const xmlChar *)"/dev/urandom");
	end(to);
	end(to);
	EMPTY(to, "memballoon", "model", "none"); /* its memory is what the score counts on */
	EMPTY(to, "panic", "model", "isa");
	end(to);
}

static void write_domain(xmlTextWriterPtr to, const struct engine_vm *vm)
{
	char number[16];

	begin(to, "domain", "type", vm->emulated ? "qemu" : "kvm", NULL);
	text(to, "name", vm->name);
	text(to, "uuid", vm->uuid);
	snprintf(number, sizeof(number), "%" PRIu32, vm->memory_mib);
	begin(to, "memory", "unit", "MiB", NULL);
	xmlTextWriterWriteString(to, (const xmlChar *)number);
	end(to);
	snprintf(number, sizeof(number), "%" PRIu32, vm->cpus);
	text(to, "vcpu", number);
	begin(to, "os", NULL);
	begin(to, "type", "arch", "x86_64", "machine", vm->machine ? vm->machine : "q35", NULL);
	xmlTextWriterWriteString(to, (const xmlChar *)"hvm");
	end(to);
	end(to);
	begin(to, "features", NULL);
	EMPTY(to, "acpi"); /* the shutdown of --vm-shutdown */
	EMPTY(to, "apic");
	end(to);
	write_cpu(to, vm);
	begin(to, "clock", "offset", "utc", NULL);
	EMPTY(to, "timer", "name", "rtc", "tickpolicy", "catchup");
	EMPTY(to, "timer", "name", "pit", "tickpolicy", "delay");
	EMPTY(to, "timer", "name", "hpet", "present", "no");
	end(to);
	/* The agent sees each end, and decides where the VM begins again. */
	text(to, "on_poweroff", "destroy");
	text(to, "on_reboot", "restart");
	text(to, "on_crash", "destroy");
	write_devices(to, vm);
	end(to);
}

int engine_xml_format(const struct engine_vm *vm, char **ret, char ret_why[ENGINE_XML_WHY_SIZE])
{
	_cleanup_(xmlBufferFree_p) xmlBufferPtr buffer = NULL;
	_cleanup_(xmlFreeTextWriter_p) xmlTextWriterPtr to = NULL;
	int r;

	assert(vm && ret && ret_why);
	r = check(vm, ret_why);
	if (r < 0)
		return r;
	buffer = xmlBufferCreate();
	to = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL;
	if (to) {
		xmlTextWriterSetIndent(to, 1);
		xmlTextWriterSetIndentString(to, (const xmlChar *)"  ");
		write_domain(to, vm);
		r = xmlTextWriterEndDocument(to);
	}
	*ret = to && r >= 0 ? strdup((const char *)xmlBufferContent(buffer)) : NULL;
	if (*ret)
		return 0;
	snprintf(ret_why, ENGINE_XML_WHY_SIZE, "%s", strerror(ENOMEM));
	return -ENOMEM;
}
