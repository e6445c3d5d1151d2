/* To be allowed or refused; where it runs its status is 42. */
int main(void)
{
    return 42;
}
