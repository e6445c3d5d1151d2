/* The first serial port, without the firmware's console in between. */
#include "efi.h"

static void out(u16 port, u8 value)
{
    __asm__ volatile("outb %0,%1" ::"a"(value), "Nd"(port));
}

static u8 in(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1,%0" : "=a"(value) : "Nd"(port));
    return value;
}

void print(const char *text)
{
    for (; *text; text++) {
        while (!(in(0x3fd) & 0x20)) /* line status: the transmitter is busy */
            ;
        out(0x3f8, *text);
    }
}

void power_off(system_table *system)
{
    system->runtime->reset(2 /* EfiResetShutdown */, 0, 0, 0);
}
