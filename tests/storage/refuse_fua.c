/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stands before libiscsi in a second store_drive: every write that asks for FUA reaches the target with a
 * field that it refuses, as targets refuse that do not know FUA. */
#include <iscsi/iscsi.h>

struct scsi_task *__real_iscsi_write16_task(struct iscsi_context *iscsi, int lun, uint64_t lba,
					    unsigned char *data, uint32_t datalen, int blocksize,
					    int wrprotect, int dpo, int fua, int fua_nv, int group_number,
					    iscsi_command_cb cb, void *private_data);
struct scsi_task *__wrap_iscsi_write16_task(struct iscsi_context *iscsi, int lun, uint64_t lba,
					    unsigned char *data, uint32_t datalen, int blocksize,
					    int wrprotect, int dpo, int fua, int fua_nv, int group_number,
					    iscsi_command_cb cb, void *private_data);

struct scsi_task *__wrap_iscsi_write16_task(struct iscsi_context *iscsi, int lun, uint64_t lba,
					    unsigned char *data, uint32_t datalen, int blocksize,
					    int wrprotect, int dpo, int fua, int fua_nv, int group_number,
					    iscsi_command_cb cb, void *private_data)
{
	return __real_iscsi_write16_task(iscsi, lun, lba, data, datalen, blocksize, fua ? 1 : wrprotect, dpo,
					 fua, fua_nv, group_number, cb, private_data);
}
