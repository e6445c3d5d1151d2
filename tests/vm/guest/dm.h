/* Device mapper: verity targets, with and without a signature over the root hash. */
#ifndef DM_H
#define DM_H

int dm_verity(char **arguments);
int dm_remove(char **arguments);

#endif
