/* The fingerprints that EC2 gives a key pair. Private to this room. */
#ifndef FLAMBE_SSH_EC2_FINGERPRINT_H
#define FLAMBE_SSH_EC2_FINGERPRINT_H

#include "ssh/identity.h"
#include <openssl/evp.h>

/* Fills id's fingerprints from id->public_line, id->blob and the private key (NULL where an agent
 * holds it, or where it is not RSA). */
void ec2_fingerprints(struct ssh_identity *id, EVP_PKEY *private);

#endif
