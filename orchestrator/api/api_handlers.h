/* What the routes call, by file. Each is an api_handler; the route says who may and what the body is. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "orchestrator/api/api_call.h"

/* api_customer.c: who pays, and until when */
api_handler api_customer_add, api_customer_list, api_customer_show, api_customer_contact_add,
	api_customer_contact_remove;
api_handler api_customer_contract_add, api_customer_contract_renew, api_customer_contract_list,
	api_customer_contract_show, api_customer_renewals;

/* api_appliance.c */
api_handler api_appliance_add, api_appliance_code, api_appliance_list, api_appliance_show, api_appliance_why,
	api_appliance_revoke;

/* api_release.c */
api_handler api_release_list, api_release_halt, api_release_unhalt, api_release_import, api_release_import_state;

/* api_offline.c: files for appliances without a network, and what they did with them */
api_handler api_offline_export, api_offline_file, api_offline_receipt, api_offline_receipt_list;

/* api_window.c: windows and freezes */
api_handler api_window_set, api_window_show, api_window_freeze_add, api_window_freeze_list, api_window_freeze_remove;

/* api_upgrade.c */
api_handler api_upgrade_plan, api_upgrade_book, api_upgrade_list, api_upgrade_show, api_upgrade_approve,
	api_upgrade_decline, api_upgrade_pause, api_upgrade_resume, api_upgrade_move, api_upgrade_abort,
	api_upgrade_retry, api_upgrade_rollback, api_upgrade_resolve;

/* api_house.c: tunnels, tasks, people, the audit log, how things stand */
api_handler api_house_tunnels, api_house_tunnel_close, api_house_task, api_house_technician_add,
	api_house_technician_list, api_house_technician_remove, api_house_audit, api_house_audit_verify,
	api_house_status;

#endif
