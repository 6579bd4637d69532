/* pool_private.h - what pool.c and pool_release.c share; see pool.h. */
#ifndef GSH_CUDA_POOL_PRIVATE_H
#define GSH_CUDA_POOL_PRIVATE_H

#include "cuda/pool.h"

struct gsh_pools *gsh_pool_table(void); /* NULL: no pool was ever used */
/* Entry number i < used. */
struct gsh_pool *gsh_pool_at(struct gsh_pools *pools, uint32_t i);

/* Under the pool's lock. Asks the driver, corrects the charge, forgets places that may have gone. Returns bytes refunded. */
uint64_t gsh_pool_settle(struct gsh_pool *pool);

#endif
