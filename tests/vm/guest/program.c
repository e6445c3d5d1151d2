/* To be allowed or refused; where it runs its status is 42. No C library: what is signed here shall be small. */
void _start(void)
{
    __asm__ volatile("syscall" ::"a"(60 /* exit */), "D"(42));
    __builtin_unreachable();
}
