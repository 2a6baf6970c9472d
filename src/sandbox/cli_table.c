/* The commands of flambe-sandbox and their options. */
#include "base/mem.h"
#include "os/fs.h"
#include "sandbox/cli.h"
#include "sandbox/faults.h"
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const kinds[] = {"booted", "light", "ghost", NULL};
static const char *const formats[] = {"text", "json", NULL};

static const struct cli_option start_options[] = {
    {"--hosts", "KIND", "booted (systemd, cloud-init; the default), light (sshd), ghost (API only)",
     kinds},
    {"--foreground", NULL, "do not leave the terminal; Ctrl-C stops", NULL},
    {"--port", "PORT", "of the API, on 127.0.0.1 (any free one, then the same again)", NULL},
    {"--region", "NAME", "us-east-1", NULL},
    {"--network", "CIDR", "private addresses (10.213.0.0/16)", NULL},
    {"--public-network", "CIDR", "public addresses (10.214.0.0/16; ghosts: 127.N.0.0/16)", NULL},
    {"--bridge", "NAME", "of the hosts' network (flambe0)", NULL},
    {"--ssh-port", "PORT", "where ghosts answer SSH (22; 2222 where that is taken)", NULL},
    {"--visible-after", "SECONDS", "from a launch to its being shown (0.2)", NULL},
    {"--pending-for", "SECONDS", "from a launch to 'running' (0.3)", NULL},
    {"--stopping-for", "SECONDS", "from 'shutting-down' to 'terminated' (0.3)", NULL},
    {"--boot-after", "SECONDS", "from a ghost's launch to its SSH (0)", NULL},
    {NULL, NULL, NULL, NULL},
};

static const struct cli_option format_options[] = {
    {"-o", "FORMAT", "text or json", formats},
    {NULL, NULL, NULL, NULL},
};

static const struct cli_option fault_options[] = {
    {"--action", "NAME", "requests of this action only (RunInstances, …)", NULL},
    {"--type", "TYPE", "launches of this instance type only", NULL},
    {"--zone", "ZONE", "launches into this zone only", NULL},
    {"--count", "N", "how often it acts (1), or 'forever'", NULL},
    {"--skip", "N", "let N that match pass first (0)", NULL},
    {NULL, NULL, NULL, NULL},
};

static const struct cli_option partition_options[] = {
    {"--off", NULL, "back on the network", NULL},
    {NULL, NULL, NULL, NULL},
};

static const struct cli_option reclaim_options[] = {
    {"--notice", "SECONDS", "between the notice and the end (120)", NULL},
    {NULL, NULL, NULL, NULL},
};

static void print_faults(void)
{
    printf("FAULT is one of\n");
    for (int i = 0; i < FAULT_KIND_COUNT; i++) {
        const struct fault_info *f = &fault_infos[i];
        AUTO_FREE char *value =
            f->unit ? mem_printf(f->value_needed ? "=%s" : "[=%s]", f->unit) : mem_dup("");
        AUTO_FREE char *left = mem_printf("%s%s", f->name, value);
        printf("  %-24s%s\n", left, f->help);
    }
    printf("A fault is kept over a restart, and is gone once it has acted COUNT times.\n");
}

static const char start_help[] =
    "Prints what a shell evaluates to reach it: eval \"$(flambe-sandbox start)\". Real hosts need "
    "root\n"
    "and LXC. An account that is there is taken up again: instances that were running boot.\n";

static const char stop_help[] = "All machines lose their power; their disks stay, and so does the "
                                "account. The next start boots\n"
                                "what was running.\n";

const struct cli_command cli_commands[] = {
    {"start", "", "start the sandbox, or say how to reach the one that runs", start_help,
     start_options, 0, 0, cmd_start},
    {"stop", "", "stop it; the account and all disks stay", stop_help, NULL, 0, 0, cmd_stop},
    {"status", "", "where it is, and its instances", NULL, format_options, 0, 0, cmd_status},
    {"env", "", "print the exports again", NULL, NULL, 0, 0, cmd_env},
    {"reset", "", "remove all instances and begin with a new account", NULL, NULL, 0, 0, cmd_reset},
    {"fault add", "FAULT", "make something go wrong", NULL, fault_options, 1, 1, cmd_fault_add,
     print_faults},
    {"fault list", "", "the faults that wait, and requests that hang", NULL, format_options, 0, 0,
     cmd_fault_list},
    {"fault clear", "[ID]", "forget one fault, or all", NULL, NULL, 0, 1, cmd_fault_clear},
    {"release", "", "let requests that hang go on", NULL, NULL, 0, 0, cmd_release},
    {"kill", "INSTANCE", "pull the plug of an instance's machine", NULL, NULL, 1, 1, cmd_instance},
    {"reclaim", "INSTANCE", "interrupt a spot instance", NULL, reclaim_options, 1, 1, cmd_instance},
    {"partition", "INSTANCE", "cut an instance off from the network", NULL, partition_options, 1, 1,
     cmd_instance},
    {"freeze", "INSTANCE", "make an instance hang", NULL, NULL, 1, 1, cmd_instance},
    {"thaw", "INSTANCE", "let an instance that hangs go on", NULL, NULL, 1, 1, cmd_instance},
    {"console", "INSTANCE", "what an instance printed on its console", NULL, NULL, 1, 1,
     cmd_instance},
    {"set", "NAME VALUE", "change visible-after, pending-for, stopping-for (s), vcpu-quota", NULL,
     NULL, 2, 2, cmd_set},
    {"fire-alarm", "NAME", "let a CloudWatch alarm fire, with its actions", NULL, NULL, 1, 1,
     cmd_fire_alarm},
    {"image build", "", "make the image of real hosts now", NULL, NULL, 0, 0, cmd_image_build},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL},
};

/* By sudo, it is the user's own state directory that is meant, not root's. */
char *cli_state_dir(void)
{
    const char *text = getenv("SUDO_UID");
    int64_t uid;
    const struct passwd *pw = NULL;
    if (geteuid() == 0 && text && !getenv("XDG_STATE_HOME") &&
        str_to_i64(str_of(text), 1, INT32_MAX, &uid))
        pw = getpwuid((uid_t)uid);
    return pw ? mem_printf("%s/.local/state/flambe", pw->pw_dir) : fs_state_dir();
}
