/* flambe-node unit: the text of flambe-node.service, for whoever installs this program on a host.
 */
#include "node/unit.h"
#include "node/node.h"

/* KillMode: SIGTERM is for the service alone, which ends what it started; what a service that was
 * killed has left is killed, and goes on with the next one. OOMPolicy: a trial that took too much
 * memory is not the service's end. Delegate: nothing else arranges what is below it. */
const char node_unit[] = "# written by flambe; changes are lost\n"
                         "[Unit]\n"
                         "Description=flambe on this host\n"
                         "Documentation=man:flambe-node(8)\n"
                         "Wants=network-online.target\n"
                         "After=network-online.target remote-fs.target srv-flambe.mount "
                         "munge.service slurmctld.service\n"
                         "ConditionPathExists=/etc/flambe/node.json\n"
                         "StartLimitIntervalSec=0\n"
                         "\n"
                         "[Service]\n"
                         "Type=simple\n"
                         "ExecStart=/opt/flambe/bin/flambe-node watch\n"
                         "Restart=always\n"
                         "RestartSec=2\n"
                         "KillMode=mixed\n"
                         "TimeoutStopSec=45\n"
                         "OOMPolicy=continue\n"
                         "Delegate=yes\n"
                         "TasksMax=infinity\n"
                         "LimitNOFILE=524288\n"
                         "\n"
                         "[Install]\n"
                         "WantedBy=multi-user.target\n";

static int run(struct cli *cli, struct err *err)
{
    (void)err;
    output_write(&cli->out, str_of(node_unit));
    return 0;
}

const struct command node_unit_command = {
    .name = "unit",
    .usage = "",
    .summary = "write the text of flambe-node.service",
    .help = "Writes the unit by which systemd keeps 'flambe-node watch' going, for "
            "/etc/systemd/system/flambe-node.service.",
    .complete = "",
    .run = run,
};
