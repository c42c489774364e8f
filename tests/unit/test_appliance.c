/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is taken for an appliance and what is refused, and what reaches the target: real images, real tars,
 * the real qemu-img. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "deploy/appliance.h"
#include "util/cleanup.h"

#define MIB 1048576

static char folder[] = "/tmp/appliance.XXXXXX";

/* A disk that begins as one that boots does, with a word at its 3rd MiB, as three kinds of file; and
 * what it goes to. */
static const char prepare[] =
	"printf '\\125\\252' >sign; truncate -s 4M disk; dd if=sign of=disk bs=1 seek=510 conv=notrunc "
	"status=none;"
	"printf engine | dd of=disk bs=1M seek=2 conv=notrunc status=none;"
	"qemu-img convert -f raw -O vmdk -o subformat=streamOptimized disk disk.vmdk;"
	"qemu-img convert -f raw -O qcow2 disk disk.qcow2; echo other >other;"
	"head -c 8M /dev/zero | tr '\\0' x >target";

/* An OVF: FILE [ATTRIBUTES OF THE FILE]. */
static const char words[] =
	"ovf() { echo \"<Envelope xmlns='http://schemas.dmtf.org/ovf/envelope/1' "
	"xmlns:ovf='http://schemas.dmtf.org/ovf/envelope/1' xmlns:rasd='r'><References><File ovf:id='f1' $2 "
	"ovf:href='$1'/></References><DiskSection><Disk ovf:capacity='4' ovf:capacityAllocationUnits='byte * "
	"2^20' "
	"ovf:diskId='d' ovf:fileRef='f1'/></DiskSection><VirtualSystem><VirtualHardwareSection>"
	"<Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4</rasd:VirtualQuantity></Item>"
	"<Item><rasd:AllocationUnits>byte * "
	"2^20</rasd:AllocationUnits><rasd:ResourceType>4</rasd:ResourceType>"
	"<rasd:VirtualQuantity>16384</rasd:VirtualQuantity></Item></VirtualHardwareSection></VirtualSystem>"
	"</Envelope>\"; };";

static int shell(const char *script)
{
	char line[8192];

	snprintf(line, sizeof(line), "set -e; cd %s/work; %s %s", folder, words, script);
	return system(line);
}

static int setup(void **state)
{
	char line[4096];

	if (!mkdtemp(folder))
		return -1;
	snprintf(line, sizeof(line), "set -e; mkdir %s/kit; cd %s/kit; %s", folder, folder, prepare);
	return system(line);
}

/* A folder with the prepared files alone. */
static void begin(void)
{
	char line[256];

	snprintf(line, sizeof(line), "cd %s && rm -rf work && cp -a kit work", folder);
	assert_int_equal(system(line), 0);
}

static int teardown(void **state)
{
	char line[100];

	snprintf(line, sizeof(line), "rm -rf %s", folder);
	return system(line);
}

static const char *in_folder(const char *name, char ret[256])
{
	snprintf(ret, 256, "%s/work/%s", folder, name);
	return ret;
}

struct look_row {
	const char *name, *make; /* leaves `it` */
	int error;
	const char *why; /* a part of it */
	struct appliance appliance;
};

/* What qemu-img would take for a VMDK in another file. */
#define TEXT                                                                                                 \
	"printf '%s\\n' '# Disk DescriptorFile' version=1 CID=1 parentCID=ffffffff "                         \
	"'createType=\"monolithicFlat\"' 'RW 8 FLAT \"/nowhere\" 0' >text; "

/* qemu-img measures the processor for its keys, and on a busy one sometimes can't. */
#define AGAIN(command) "for n in 1 2 3 4 5 6 7 8 9; do " command " && break; done"

static const struct look_row look_rows[] = {
	{"qcow2", "mv disk.qcow2 it", 0, "", {APPLIANCE_IMAGE, 4 * MIB, 0, 0, 0, "", ""}},
	{"raw", "mv disk it", 0, "", {APPLIANCE_IMAGE, 4 * MIB, 0, 0, 0, "", ""}},
	{"OVA as DMTF has it",
	 "ovf disk.vmdk >e.ovf; head -c 70000 /dev/zero >disk.vmdk; tar cf it e.ovf disk.vmdk",
	 0,
	 "",
	 {APPLIANCE_OVA, 4 * MIB, 4, 16384, 70000, "disk.vmdk", ""}},
	{"OVA of oVirt, gzipped",
	 "mkdir -p a/images/i a/vms/v; head -c 70000 /dev/zero >a/images/i/v; "
	 "echo \"<ovf:Envelope xmlns:ovf='o' xmlns:rasd='r'><References><File ovf:href='i/v' "
	 "ovf:id='v'/></References>"
	 "<Section><Disk ovf:diskId='v' ovf:size='51' ovf:fileRef='i/v'/></Section><Content><Section>"
	 "<Item><rasd:ResourceType>3</rasd:ResourceType><rasd:num_of_sockets>2</rasd:num_of_sockets>"
	 "<rasd:cpu_per_socket>8</rasd:cpu_per_socket></Item><Item><rasd:ResourceType>4</rasd:ResourceType>"
	 "<rasd:VirtualQuantity>8</rasd:VirtualQuantity><rasd:AllocationUnits>GigaBytes</"
	 "rasd:AllocationUnits></Item>"
	 "</Section></Content></ovf:Envelope>\" >a/vms/v/v.ovf; tar czf it -C a ./images ./vms",
	 0,
	 "",
	 {APPLIANCE_OVA, 51 * UINT64_C(1073741824), 16, 8192, 70000, "images/i/v", ""}},
	{"memory and processors not said",
	 "ovf disk | sed 's/<Item>.*<.Item>//' >e.ovf; tar cf it e.ovf disk",
	 0,
	 "",
	 {APPLIANCE_OVA, 4 * MIB, 0, 0, 4 * MIB, "disk", ""}},
	{"more processors than there are",
	 "ovf disk | sed 's/>4</>4294967300</' >e.ovf; tar cf it e.ovf disk",
	 0,
	 "",
	 {APPLIANCE_OVA, 4 * MIB, 0, 16384, 4 * MIB, "disk", ""}},
	{"a manifest that is right",
	 "ovf disk >e.ovf; sha256sum --tag e.ovf disk >e.mf; tar cf it e.ovf e.mf disk",
	 0,
	 "",
	 {APPLIANCE_OVA, 4 * MIB, 4, 16384, 4 * MIB, "disk", ""}},
	{"a manifest of before",
	 "ovf disk >e.ovf; sha256sum --tag e.ovf disk >e.mf; echo >>e.ovf; tar cf it e.ovf disk e.mf",
	 -EBADMSG,
	 "e.ovf is not what its manifest says (sha256)",
	 {0}},
	{"a manifest without the disk",
	 "ovf disk >e.ovf; sha256sum --tag e.ovf other >e.mf; tar cf it e.ovf disk e.mf other",
	 -EINVAL,
	 "no digest of its disk disk",
	 {0}},
	{"an empty manifest",
	 "ovf disk >e.ovf; : >e.mf; tar cf it e.ovf disk e.mf",
	 -EINVAL,
	 "no digest of its disk disk",
	 {0}},
	{"a manifest that has the disk by its name in the tar",
	 "ovf v >e.ovf; mkdir i; mv disk i/v; sha256sum --tag i/v >e.mf; tar cf it e.ovf i/v e.mf",
	 0,
	 "",
	 {APPLIANCE_OVA, 4 * MIB, 4, 16384, 4 * MIB, "i/v", ""}},
	{"a manifest of a kind that nobody takes any more",
	 "ovf disk >e.ovf; md5sum --tag e.ovf >e.mf; tar cf it e.ovf disk e.mf",
	 -EINVAL,
	 "not understood",
	 {0}},
	{"two manifests",
	 "ovf disk >e.ovf; sha1sum --tag e.ovf >e.mf; cp e.mf f.mf; tar cf it e.ovf e.mf f.mf disk",
	 -EINVAL,
	 "two files like f.mf",
	 {0}},
	{"none", "true", -ENOENT, "No such file", {0}},
	{"a folder", "mkdir it", -EINVAL, "neither a file nor", {0}},
	{"a FIFO", "mkfifo it", -EINVAL, "neither a file nor", {0}},
	{"an empty file", ": >it", -EINVAL, "empty", {0}},
	{"a text", "seq 1000 >it", -EINVAL, "boot record", {0}},
	{"a disk of zeros", "truncate -s 1M it", -EINVAL, "boot record", {0}},
	{"gzipped qcow2", "gzip <disk.qcow2 >it", -EINVAL, "gzip", {0}},
	{"xz", "printf '\\3757zXZ' >it; cat disk >>it", -EINVAL, "xz", {0}},
	{"vmdk", "mv disk.vmdk it", -EINVAL, "vmdk", {0}},
	{"qcow2 with a backing file",
	 "qemu-img create -q -f qcow2 -b disk -F raw it",
	 -EINVAL,
	 "behind it",
	 {0}},
	{"qcow2 whose backing file is gone",
	 "qemu-img create -q -f qcow2 -u -b /nowhere -F raw it 4M",
	 -EINVAL,
	 "behind it",
	 {0}},
	{"qcow2 with a data file",
	 "qemu-img create -q -f qcow2 -o data_file=data it 4M",
	 -EINVAL,
	 "behind it",
	 {0}},
	{"encrypted",
	 AGAIN("qemu-img create -q -f qcow2 --object secret,id=s,data=x -o "
	       "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 it 4M"),
	 -EINVAL,
	 "encrypted",
	 {0}},
	{"luks",
	 AGAIN("qemu-img create -q -f luks --object secret,id=s,data=x -o key-secret=s,iter-time=10 it 4M"),
	 -EINVAL,
	 "luks",
	 {0}},
	{"vhdx", "printf vhdxfile >it; truncate -s 1M it", -EINVAL, "vhdx", {0}},
	{"a text that names another file", TEXT "cp text it", -EINVAL, "other files", {0}},
	{"qcow2 cut short", "head -c 60 disk.qcow2 >it", -EBADMSG, "", {0}},
	{"qcow2 marked corrupt",
	 "mv disk.qcow2 it; printf '\\2' | dd of=it bs=1 seek=79 conv=notrunc status=none",
	 -EBADMSG,
	 "corrupt",
	 {0}},
	{"tar without an OVF", "tar cf it disk", -EINVAL, "without an OVF", {0}},
	{"two OVFs",
	 "ovf disk >e.ovf; cp e.ovf f.ovf; tar cf it e.ovf f.ovf disk",
	 -EINVAL,
	 "two files like f.ovf",
	 {0}},
	{"a member twice",
	 "ovf disk >e.ovf; tar cf it e.ovf disk; tar rf it disk",
	 -EINVAL,
	 "two members disk",
	 {0}},
	{"an absolute path, last",
	 "ovf disk >e.ovf; tar cPf it e.ovf disk $PWD/other",
	 -EINVAL,
	 "unsafe",
	 {0}},
	{"a path that leads out",
	 "ovf disk >e.ovf; tar cPf it --transform s,other,../other, e.ovf disk other",
	 -EINVAL,
	 "unsafe",
	 {0}},
	{"one in its middle",
	 "ovf disk >e.ovf; tar cPf it --transform s,other,a/../../other, e.ovf disk other",
	 -EINVAL,
	 "unsafe",
	 {0}},
	{"a name with a line break",
	 "ovf disk >e.ovf; tar cf it --transform 's,other,a\\nb,' e.ovf disk other",
	 -EINVAL,
	 "unsafe",
	 {0}},
	{"a disk that is a link",
	 "ovf link >e.ovf; ln -sf /etc/passwd link; tar cf it e.ovf link",
	 -EINVAL,
	 "no such file",
	 {0}},
	{"a disk that is a hard link",
	 "ovf hard >e.ovf; ln disk hard; tar cf it e.ovf disk hard",
	 -EINVAL,
	 "no such file",
	 {0}},
	{"no disk in the tar", "ovf gone >e.ovf; tar cf it e.ovf other", -EINVAL, "no such file", {0}},
	{"disk of two folders",
	 "ovf disk >e.ovf; mkdir -p a b; cp disk a; cp disk b; tar cf it e.ovf a/disk b/disk",
	 -EINVAL,
	 "no such file",
	 {0}},
	{"compressed disk",
	 "ovf disk \"ovf:compression='gzip'\" >e.ovf; tar cf it e.ovf disk",
	 -EINVAL,
	 "gzip",
	 {0}},
	{"two disks",
	 "ovf disk | sed 's,<Disk ,<Disk/>&,' >e.ovf; tar cf it e.ovf disk",
	 -EINVAL,
	 "1 machines and 2 disks",
	 {0}},
	{"two machines",
	 "ovf disk | sed 's,<VirtualSystem>,<VirtualSystem/>&,' >e.ovf; tar cf it e.ovf disk",
	 -EINVAL,
	 "2 machines and 1 disks",
	 {0}},
	{"OVF is none", "echo '<a/>' >e.ovf; tar cf it e.ovf disk", -EINVAL, "none", {0}},
	{"OVF is broken", "echo '<Envelope>' >e.ovf; tar cf it e.ovf disk", -EBADMSG, "not well-formed", {0}},
	{"OVF with entities",
	 "(echo '<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>'; ovf disk) >e.ovf; "
	 "tar cf it e.ovf disk",
	 -EBADMSG,
	 "document type",
	 {0}},
	{"huge OVF",
	 "(ovf disk; head -c 1M /dev/zero) >e.ovf; tar cf it e.ovf disk",
	 -EFBIG,
	 "more than",
	 {0}},
	{"OVA cut short",
	 "ovf disk >e.ovf; tar cf t e.ovf disk; head -c 100000 t >it",
	 -EBADMSG,
	 "broken",
	 {0}},
	{"gzipped OVA cut short",
	 "ovf disk >e.ovf; head -c 4M /dev/urandom >disk; tar czf t e.ovf disk; head -c 2M t >it",
	 -EBADMSG,
	 "broken",
	 {0}},
};

static void test_look(void **state)
{
	char path[256], why[APPLIANCE_WHY_SIZE];
	int failed = 0;

	for (size_t i = 0; i < sizeof(look_rows) / sizeof(look_rows[0]); i++) {
		const struct look_row *row = &look_rows[i];
		struct appliance found = {.kind = APPLIANCE_KIND_COUNT};
		int r;

		why[0] = '\0';
		begin();
		if (shell(row->make) != 0)
			fail_msg("%s: not made", row->name);
		r = appliance_look(in_folder("it", path), &found, why);
		if (r == row->error && strstr(why, row->why) &&
		    (r < 0 ? found.kind == APPLIANCE_KIND_COUNT
			   : found.kind == row->appliance.kind &&
				     found.disk_size == row->appliance.disk_size &&
				     found.cpus == row->appliance.cpus &&
				     found.memory_mib == row->appliance.memory_mib &&
				     found.unpacked == row->appliance.unpacked &&
				     strcmp(found.member, row->appliance.member) == 0))
			continue;
		failed++;
		print_message("# %s: %d %s; kind %d, %ju bytes, %u, %u MiB, %ju in %s\n", row->name, r, why,
			      (int)found.kind, (uintmax_t)found.disk_size, found.cpus, found.memory_mib,
			      (uintmax_t)found.unpacked, found.member);
	}
	assert_int_equal(failed, 0);
}

static void test_look_needs(void **state)
{
	struct appliance found;
	char path[256], why[APPLIANCE_WHY_SIZE];
	_cleanup_free_ char *usual = strdup(getenv("PATH"));

	assert_int_equal(appliance_look("relative", &found, why), -EINVAL);
	begin();
	assert_int_equal(shell("mv disk.qcow2 it"), 0);
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(appliance_look(in_folder("it", path), &found, why), -ENOSYS);
	assert_non_null(strstr(why, "qemu-img"));
	setenv("PATH", usual, 1);
}

struct progress {
	unsigned last, calls, stop_at; /* percent to stop at, 0: never */
};

static int progress(unsigned percent, void *data)
{
	struct progress *progress = data;

	assert_true(percent >= progress->last && percent <= 100);
	progress->last = percent;
	progress->calls++;
	return progress->stop_at > 0 && percent >= progress->stop_at;
}

struct import_row {
	const char *name, *make; /* leaves `it`; the target is there already, full of `x` */
	uint64_t offset, size;
	const char *target; /* NULL: `target` */
	unsigned stop_at;
	int error;
	const char *why;
	const char *check; /* in the shell, then */
};

#define SAME "cmp -n 4194304 disk target && tail -c 4M target | tr -d x | wc -c | grep -qx 0"
#define UNTOUCHED "tr -d x <target | wc -c | grep -qx 0"

static const struct import_row import_rows[] = {
	{"qcow2", "cp disk.qcow2 it", 0, 0, NULL, 0, 0, "", SAME},
	{"raw", "cp disk it", 0, 0, NULL, 0, 0, "", SAME},
	{"to an area", "cp disk.qcow2 it", MIB, 5 * MIB, NULL, 0, 0, "",
	 "cmp -i 0:1M -n 4194304 disk target && (head -c 1M target; tail -c 3M target) | tr -d x | wc -c | "
	 "grep -qx 0"},
	{"to a name with commas", "cp disk.qcow2 it; mv target 'a,b =,ü'", 0, 0, "a,b =,ü", 0, 0, "",
	 "mv 'a,b =,ü' target; " SAME},
	{"OVA with a vmdk", "ovf disk.vmdk >e.ovf; tar cf it e.ovf disk.vmdk", 0, 0, NULL, 0, 0, "", SAME},
	{"OVA with a qcow2, gzipped", "ovf disk.qcow2 >e.ovf; tar czf it disk.qcow2 e.ovf", 0, 0, NULL, 0, 0,
	 "", SAME},
	{"OVA with manifest",
	 "ovf disk.vmdk >e.ovf; openssl dgst -sha1 e.ovf disk.vmdk >e.mf; tar cf it e.ovf e.mf disk.vmdk", 0,
	 0, NULL, 0, 0, "", SAME},
	{"OVA with manifest, sparse",
	 "ovf disk >e.ovf; openssl dgst -sha256 disk e.ovf >e.mf; tar cSf it e.ovf disk e.mf", 0, 0, NULL, 0,
	 0, "", SAME},
	{"a disk that was damaged",
	 "ovf disk >e.ovf; sha512sum --tag e.ovf disk >e.mf; printf x | dd of=disk bs=1 seek=3M conv=notrunc "
	 "status=none; tar czf it e.ovf disk e.mf",
	 0, 0, NULL, 0, -EBADMSG, "disk is not what its manifest says (sha512)", UNTOUCHED},
	{"OVA with a sparse raw disk", "ovf disk >e.ovf; tar cSf it e.ovf disk", 0, 0, NULL, 0, 0, "", SAME},
	{"area too small", "cp disk.qcow2 it", MIB, 3 * MIB, NULL, 0, -ENOSPC, "has 4194304 bytes",
	 UNTOUCHED},
	{"area beyond the end", "cp disk.qcow2 it", 5 * MIB, 4 * MIB, NULL, 0, -ENOSPC,
	 "1048576 bytes before", UNTOUCHED},
	{"rest too small", "cp disk.qcow2 it", 7 * MIB, 0, NULL, 0, -ENOSPC, "only 1048576", UNTOUCHED},
	{"OVF promises more than there is room",
	 "ovf disk.vmdk | sed \"s/capacity='4'/capacity='9'/\" >e.ovf; tar cf it e.ovf disk.vmdk", 0, 0, NULL,
	 0, -ENOSPC, "has 9437184 bytes", UNTOUCHED},
	{"disk is larger than its OVF says",
	 "qemu-img resize -q -f qcow2 disk.qcow2 9M; ovf disk.qcow2 >e.ovf; tar cf it e.ovf disk.qcow2", 0, 0,
	 NULL, 0, -ENOSPC, "has 9437184 bytes", UNTOUCHED},
	{"no room for the OVA's disk", "truncate -s 4T large; ovf large >e.ovf; tar cSf it e.ovf large", 0, 0,
	 NULL, 0, -ENOSPC, "bytes left", UNTOUCHED},
	{"OVA with a vmdk of two files",
	 "qemu-img create -q -f vmdk -o subformat=monolithicFlat two.vmdk 4M; ovf two.vmdk >e.ovf; tar cf it "
	 "e.ovf "
	 "two.vmdk two-flat.vmdk",
	 0, 0, NULL, 0, -EINVAL, "other files", UNTOUCHED},
	{"OVA with a vmdk whose text is in it",
	 TEXT "truncate -s 1M in.vmdk; printf 'KDMV\\1' | dd of=in.vmdk conv=notrunc status=none; "
	      "printf '\\1' | dd of=in.vmdk bs=1 seek=28 conv=notrunc status=none; "
	      "dd if=text of=in.vmdk bs=512 seek=1 conv=notrunc status=none; ovf in.vmdk >e.ovf; tar cf it "
	      "e.ovf in.vmdk",
	 0, 0, NULL, 0, -EINVAL, "other files", UNTOUCHED},
	{"OVA with a vmdk that points elsewhere",
	 "printf '%s\\n' '# Disk DescriptorFile' version=1 CID=1 parentCID=ffffffff "
	 "'createType=\"monolithicFlat\"' "
	 "\"RW 8 FLAT \\\"$PWD/disk\\\" 0\" >two.vmdk; truncate -s 1M two.vmdk; ovf two.vmdk >e.ovf; tar cf "
	 "it e.ovf "
	 "two.vmdk",
	 0, 0, NULL, 0, -EINVAL, "other files", UNTOUCHED},
	{"OVA with a qcow2 on another",
	 "qemu-img create -q -f qcow2 -b $PWD/disk -F raw over; ovf over >e.ovf; tar cf it e.ovf over", 0, 0,
	 NULL, 0, -EINVAL, "behind it", UNTOUCHED},
	{"target is gone", "cp disk it; mv target other", 0, 0, NULL, 0, -ENOENT, "No such file", "true"},
	{"stopped at once", "cp disk it", 0, 0, NULL, 1, -ECANCELED, "as asked", "true"},
	{"stopped while it unpacks", "ovf disk >e.ovf; tar cf it e.ovf disk", 0, 0, NULL, 20, -ECANCELED,
	 "as asked", UNTOUCHED},
};

static void test_import(void **state)
{
	int failed = 0;

	for (size_t i = 0; i < sizeof(import_rows) / sizeof(import_rows[0]); i++) {
		const struct import_row *row = &import_rows[i];
		char path[256], target[256], why[APPLIANCE_WHY_SIZE] = "";
		struct progress seen = {.stop_at = row->stop_at};
		struct appliance_import request = {
			.path = in_folder("it", path),
			.target = in_folder(row->target ? row->target : "target", target),
			.offset = row->offset,
			.size = row->size,
			.folder = folder,
			.progress = progress,
			.data = &seen,
		};
		uint64_t size = 0;
		int r;

		begin();
		if (shell(row->make) != 0)
			fail_msg("%s: not made", row->name);
		r = appliance_import(&request, &size, why);
		if (r == row->error && strstr(why, row->why) && shell(row->check) == 0 &&
		    (r < 0 ? size == 0 : size == 4 * MIB && seen.last == 100))
			continue;
		failed++;
		print_message("# %s: %d %s; %ju bytes, %u percent\n", row->name, r, why, (uintmax_t)size,
			      seen.last);
	}
	assert_int_equal(failed, 0);
}

/* As another QEMU holds it: by its lock on the byte that stands for "nobody else writes". */
static void test_import_in_use(void **state)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 201, .l_len = 1};
	char path[256], target[256], why[APPLIANCE_WHY_SIZE];
	struct appliance_import request = {.path = in_folder("it", path),
					   .target = in_folder("target", target)};
	_cleanup_close_ int fd = -1;
	uint64_t size;

	begin();
	assert_int_equal(shell("cp disk it; truncate -s 8M target"), 0);
	fd = open(target, O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(appliance_import(&request, &size, why), -EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_look_needs),
		cmocka_unit_test(test_import),
		cmocka_unit_test(test_import_in_use),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
