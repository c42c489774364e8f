/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real hosted-engine --console and --add-console-password with libvirt's own test driver, whose domain
 * stands in for the engine VM: what is said where the VM is not, has no display, or libvirt refuses. (The lab
 * shows a real console.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/command_run.h"
#include "util/cleanup.h"

#define HERE "6695eb01-f6a4-8304-79aa-97f2502e193f"
#define AWAY "6695eb01-f6a4-8304-79aa-97f2502e1930"
#define NODE                                                                                                 \
	"<node><domain type='test'><name>test</name><uuid>" HERE "</uuid><memory>1024</memory>"              \
	"<os><type>hvm</type></os><devices>%s</devices></domain></node>"

static char dir[] = "/tmp/test_console.XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int setup(void **state)
{
	char path[256];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine", dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/ovirt-hosted-engine-ha", dir);
	mkdir(path, 0755);
	return setenv("OVIRT_HA_CONF_DIR", dir, 1);
}

static int teardown(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) == 0 ? 0 : -1;
}

static void test_rows(void **state)
{
	static const char display[] = "<graphics type='spice' port='5901'/><graphics type='vnc' port='5904' "
				      "listen='192.0.2.7'/>";
	static const struct {
		const char *name, *vmid, *devices, *password, *args[2], *out, *err; /* err: its beginning */
	} rows[] = {
		{"not deployed", "", "", NULL, {"--console"}, "You must run deploy first\n", ""},
		{"console, elsewhere",
		 AWAY,
		 "",
		 NULL,
		 {"--console"},
		 "The engine VM is not on this host\n",
		 ""},
		{"console, refused", HERE, "", NULL, {"--console"}, "", "The console cannot be opened: "},
		{"password, elsewhere",
		 AWAY,
		 display,
		 "x",
		 {"--add-console-password"},
		 "The engine VM is not on this host\n",
		 ""},
		{"password, elsewhere, as JSON",
		 AWAY,
		 display,
		 "x",
		 {"--add-console-password", "--json"},
		 "{\"address\": null, \"valid-for\": 0}\n",
		 ""},
		{"no display",
		 HERE,
		 "",
		 "x",
		 {"--add-console-password"},
		 "",
		 "The engine VM has no VNC display: "},
		{"another display",
		 HERE,
		 "<graphics type='spice' port='5901'/>",
		 "x",
		 {"--add-console-password"},
		 "",
		 "The engine VM has no VNC display: "},
		{"refused",
		 HERE,
		 display,
		 "x",
		 {"--add-console-password"},
		 "",
		 "The VM's definition must give its display a password from the start: "},
		{"as an option",
		 HERE,
		 display,
		 NULL,
		 {"--add-console-password", "--password=x"},
		 "",
		 "The VM's definition must give its display a password from the start: "},
		{"empty",
		 HERE,
		 display,
		 "",
		 {"--add-console-password"},
		 "",
		 "An empty password would let nobody in"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *args[COMMAND_ARGS_MAX] = {rows[i].args[0], rows[i].args[1]};
		_cleanup_free_ char *out = NULL, *err = NULL;
		char text[1024];
		int code;

		snprintf(text, sizeof(text), NODE, rows[i].devices);
		write_file("node.xml", text);
		snprintf(text, sizeof(text), "[agent]\nlibvirt_uri=test://%s/node.xml\n", dir);
		write_file("ovirt-hosted-engine-ha/agent.conf", text);
		snprintf(text, sizeof(text), "vmid=%s\n", rows[i].vmid);
		write_file("ovirt-hosted-engine/hosted-engine.conf", text);
		if (rows[i].password)
			setenv("OVIRT_HOSTED_ENGINE_CONSOLE_PASSWORD", rows[i].password, 1);
		else
			unsetenv("OVIRT_HOSTED_ENGINE_CONSOLE_PASSWORD");
		code = command_run(args, &out, &err);
		if (code != 1 || strcmp(out, rows[i].out) != 0 ||
		    strncmp(err, rows[i].err, strlen(rows[i].err)) != 0 || (!rows[i].err[0] && err[0]))
			fail_msg("%s: %d, %s%s", rows[i].name, code, out, err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
