/* flambe-node: see node/commands.c for its verbs and cli/cli.c for the way in. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
