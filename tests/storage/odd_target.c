/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stands before libiscsi in a second store_drive and makes the target another one, as ODD_TARGET says: `fua`,
 * one that refuses writes that ask for FUA (they reach it with a field that it refuses), each said on
 * standard error with what it asks for; `size`, one that names no size of its unit. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

struct scsi_task *__real_iscsi_write16_task(struct iscsi_context *iscsi, int lun, uint64_t lba,
					    unsigned char *data, uint32_t datalen, int blocksize,
					    int wrprotect, int dpo, int fua, int fua_nv, int group_number,
					    iscsi_command_cb cb, void *private_data);
struct scsi_task *__wrap_iscsi_write16_task(struct iscsi_context *iscsi, int lun, uint64_t lba,
					    unsigned char *data, uint32_t datalen, int blocksize,
					    int wrprotect, int dpo, int fua, int fua_nv, int group_number,
					    iscsi_command_cb cb, void *private_data);
void *__real_scsi_datain_unmarshall(struct scsi_task *task);
void *__wrap_scsi_datain_unmarshall(struct scsi_task *task);

static int is(const char *what)
{
	const char *odd = getenv("ODD_TARGET");

	return odd && strcmp(odd, what) == 0;
}

struct scsi_task *__wrap_iscsi_write16_task(struct iscsi_context *iscsi, int lun, uint64_t lba,
					    unsigned char *data, uint32_t datalen, int blocksize,
					    int wrprotect, int dpo, int fua, int fua_nv, int group_number,
					    iscsi_command_cb cb, void *private_data)
{
	fprintf(stderr, "write fua=%d\n", fua);
	return __real_iscsi_write16_task(iscsi, lun, lba, data, datalen, blocksize,
					 fua && is("fua") ? 1 : wrprotect, dpo, fua, fua_nv, group_number, cb,
					 private_data);
}

void *__wrap_scsi_datain_unmarshall(struct scsi_task *task)
{
	void *data = __real_scsi_datain_unmarshall(task);

	if (data && is("size") && task->cdb[0] == SCSI_OPCODE_SERVICE_ACTION_IN)
		((struct scsi_readcapacity16 *)data)->returned_lba = UINT64_MAX;
	return data;
}
