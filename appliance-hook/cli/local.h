/* Commands that need neither serve nor a network: act's own work, asked for at the appliance. */
#ifndef CLI_LOCAL_H
#define CLI_LOCAL_H

#include "base/command.h"

int local_adopt(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int local_status(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int local_rollback(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int local_resume(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int local_clear(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int local_quarantine_list(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int local_quarantine_remove(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int local_receipt_list(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int local_receipt_export(const struct command_line *line, void *context, struct error *error) MUST_CHECK;
int local_watch(const struct command_line *line, void *context, struct error *error) MUST_CHECK;

#endif
