/* An image to be signed, tampered with and refused. Where the firmware starts it, it says so and returns. */
#include "efi.h"

#ifdef COMPONENT /* with a number of its generation, as in "grub,1", for shim to compare */
__attribute__((used, section(".sbat"))) static const char sbat[] =
    "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n" COMPONENT ",chopmark,payload,1,none\n";
#endif

status efi_main(handle self, system_table *system)
{
    (void)self, (void)system;
    print("\r\nvm: payload runs\r\n");
    return 0;
}
