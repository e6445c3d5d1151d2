/* An image to be signed, tampered with and refused. Where the firmware starts it, it says so and returns. */
#include "efi.h"

#ifndef MARK
#define MARK "payload runs"
#endif

status efi_main(handle self, system_table *system)
{
    (void)self, (void)system;
    print("\r\nvm: " MARK "\r\n");
    return 0;
}
