/* glibc >= 2.34 made PTHREAD_STACK_MIN a function call, which the Boost inside
   liblsl 1.13 uses in an #if. This header stands in front of the system's and
   gives the macro its old constant back. Found through .cargo/config.toml. */
#include_next <limits.h>
#ifdef PTHREAD_STACK_MIN
#undef PTHREAD_STACK_MIN
#define PTHREAD_STACK_MIN 16384
#endif
