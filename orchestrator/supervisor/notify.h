/* Tells systemd (Type=notify) that the service is up; nothing when it was not started by it. */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

void notify_ready(void);

#endif
