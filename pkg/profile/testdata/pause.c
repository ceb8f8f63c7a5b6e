// Waits, without a C library, so that it gets by with whatever is allowed.
#include <sys/syscall.h>

void _start(void)
{
	for (;;) {
		long rax = SYS_pause;
		__asm__ volatile("syscall" : "+a"(rax) : : "rcx", "r11", "memory");
	}
}
