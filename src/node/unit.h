/* The text of flambe-node.service. */
#ifndef FLAMBE_NODE_UNIT_H
#define FLAMBE_NODE_UNIT_H

extern const char node_unit[];

#endif
