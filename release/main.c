/* nightshift-release: builds, signs, publishes and withdraws bundles, on a machine that never meets the orchestrator.
 */

#include "base/secret.h"
#include "release/commands.h"

#define PASSPHRASE                                                                                                     \
	{                                                                                                              \
		"--passphrase-file", "FILE",                                                                           \
			.help = "passphrase of the key; else a systemd credential or the terminal"                     \
	}
#define JSON                                                                                                           \
	{                                                                                                              \
		"--json", .help = "as JSON"                                                                            \
	}

static const struct command_option key_new_options[] = {
	{"--no-passphrase", .help = "leave the key unsealed"},
	PASSPHRASE,
	{NULL},
};
static const struct command_option pack_options[] = {
	{"--product", "P", .required = true, .help = "product"},
	{"--version", "V", .required = true, .help = "version"},
	{"--class", "CLASS", .help = "feature (default) or security"},
	{"--min-from", "V", .help = "oldest version that it installs over"},
	{"--stop", .help = "no upgrade may skip this release"},
	{"--reboot", .help = "the appliance reboots"},
	{"--network", .help = "the release touches the network"},
	{"--data-migration", .help = "data is migrated: snapshot before, restore at rollback"},
	{"--hooks", "DIR", .help = "preflight, pre-switch, post-switch, undo: executables"},
	{"--notes", "FILE", .help = "release notes"},
	{"--sbom", "FILE", .help = "SPDX or CycloneDX as JSON, bound to the manifest"},
	{"--apply-time", "TIME", .help = "declared duration of switch and checks (90s, 10m); else estimated"},
	{"--rollback-time", "TIME", .help = "declared duration of going back"},
	{"-o", "FILE", .required = true, .help = "the bundle"},
	{NULL},
};
static const struct command_option init_options[] = {
	{"--product", "P", .required = true, .help = "the one product of this repository"},
	{"--root-key", "K…", .required = true, .repeated = true, .many = true,
	 .help = "root keys: secret ones sign root 1 now, .pub ones sign later"},
	{"--root-threshold", "N", .required = true, .help = "how many of them must sign a root"},
	{"--targets-key", "K.pub…", .required = true, .repeated = true, .many = true, .help = "release engineers"},
	{"--targets-threshold", "N", .required = true, .help = "how many of them must sign a release"},
	{"--snapshot-key", "K.pub", .required = true, .help = "the publisher's key"},
	{"--timestamp-key", "K.pub", .required = true, .help = "the signer's timestamp key"},
	{"--order-key", "K.pub", .required = true, .repeated = true, .help = "the signer's order key"},
	{"--entitlement-key", "K.pub", .required = true, .repeated = true, .help = "the licence desk's key"},
	PASSPHRASE,
	{NULL},
};
static const struct command_option authority_options[] = {
	{"--order-key", "K.pub", .repeated = true, .many = true, .help = "all keys that may sign orders from now on"},
	{"--entitlement-key", "K.pub", .repeated = true, .many = true,
	 .help = "all keys that may sign entitlements from now on"},
	{NULL},
};
static const struct command_option technicians_options[] = {
	{"--add", "NAME=KEY.pub", .repeated = true, .many = true, .help = "may log in where a customer grants it"},
	{"--remove", "NAME", .repeated = true, .many = true, .help = "may not any more"},
	JSON,
	{NULL},
};
static const struct command_option add_options[] = {
	{"--channel", "C", .repeated = true, .help = "channel of the release (default stable)"},
	{"--published", "DATE", .help = "YYYY-MM-DD (default today, UTC)"},
	{NULL},
};
static const struct command_option sign_options[] = {
	{"--key", "K", .required = true, .help = "your secret key, or cmd:PROGRAM"},
	{"--renew", .help = "with nothing staged: stage the published targets anew, with a new expiry"},
	PASSPHRASE,
	{NULL},
};
static const struct command_option publish_options[] = {
	{"--snapshot-key", "K", .required = true, .repeated = true, .help = "secret snapshot key"},
	{"--timestamp-key", "K", .help = "secret timestamp key; without it the orchestrator issues the timestamp"},
	PASSPHRASE,
	{NULL},
};
static const struct command_option promote_options[] = {
	{"--channel", "C", .help = "channel that the release joins (default stable)"},
	{NULL},
};
static const struct command_option yank_options[] = {
	{"--channel", "C", .help = "only out of this channel; it stays in the others"},
	{"--reason", "TEXT", .help = "told to whoever asks for it"},
	{NULL},
};
static const struct command_option rotate_options[] = {
	{"--add", "K.pub", .repeated = true, .many = true, .help = "keys that come"},
	{"--remove", "K", .repeated = true, .many = true,
	 .help = "keys that go: file, id, eight digits of it, or name"},
	{"--role", "ROLE", .help = "root (default), targets, snapshot or timestamp"},
	{"--threshold", "N", .help = "the role's new threshold"},
	{NULL},
};
static const struct command_option json_options[] = {JSON, {NULL}};
static const struct command_option verify_options[] = {
	{"--root", "ROOT.json", .required = true, .help = "the root that you trust"},
	JSON,
	{NULL},
};
static const struct command_option delta_options[] = {
	{"-o", "FILE", .required = true, .help = "the delta"},
	{NULL},
};
static const struct command_option export_options[] = {
	{"-o", "FILE", .required = true, .help = "bundle with the metadata chain"},
	{NULL},
};

static const struct command commands[] = {
	{"key new", "FILE", 1, 1, key_new_options, "make FILE (sealed, 0600) and FILE.pub; prints the key's id",
	 commands_key_new},
	{"repo init", "REPO", 1, 1, init_options, "begin a repository: root 1 and authority.json", commands_init},
	{"repo authority", "REPO", 1, 1, authority_options, "stage other order or entitlement keys into authority.json",
	 commands_authority},
	{"repo technicians", "REPO [FILE.json]", 1, 2, technicians_options,
	 "list the technicians; stage a change of the list, or another list", commands_technicians},
	{"pack", "TREE|ARCHIVE", 1, 1, pack_options, "make a bundle; same input and libzstd, same bytes",
	 commands_pack},
	{"delta", "OLD.bundle NEW.bundle", 2, 2, delta_options, "make a delta between two releases", commands_delta},
	{"add", "REPO FILE…", 2, -1, add_options, "verify bundles and deltas, stage them into the next targets",
	 commands_add},
	{"sign", "REPO", 1, 1, sign_options, "sign what is staged, once per engineer", commands_sign},
	{"publish", "REPO", 1, 1, publish_options, "publish what is staged; 65 under the threshold", commands_publish},
	{"promote", "REPO V", 2, 2, promote_options, "stage: the release joins a channel", commands_promote},
	{"yank", "REPO V", 2, 2, yank_options, "stage: the release is withdrawn, or leaves a channel", commands_yank},
	{"root rotate", "REPO", 1, 1, rotate_options, "stage root N+1; without keys only its expiry is renewed",
	 commands_rotate},
	{"status", "REPO", 1, 1, json_options, "what expires when, whose signature is missing", commands_status},
	{"inspect", "FILE", 1, 1, json_options, "explain a bundle, manifest, signed file or key", commands_inspect},
	{"verify", "REPO|FILE", 1, 1, verify_options,
	 "verify a repository, or a bundle made by export, as an appliance would", commands_verify},
	{"export", "REPO V", 2, 2, export_options, "a published release with the metadata chain in one file",
	 commands_export},
	{NULL},
};

int main(int argc, char **argv)
{
	static const struct command_program program = {
		.name = "nightshift-release",
		.summary = "build, sign, publish and withdraw releases",
		.commands = commands,
	};
	struct error error;

	if (secret_start(&error) < 0)
		return ERROR_BUG;
	secret_protect_process();
	return command_main(&program, argc, argv, NULL);
}
