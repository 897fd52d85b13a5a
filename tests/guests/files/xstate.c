/*
 * Loaded into user-mode-linux with LD_PRELOAD, so that it runs on machines with AMX.
 *
 * Kernel 6.12 for user mode asks the host how large a process's extended state is, by reading it
 * (PTRACE_GETREGSET with NT_X86_XSTATE), and later writes as many bytes back. On a processor with AMX
 * the host hands out the state without the tiles as long as the process uses none, but takes back
 * only the full size (xstateregs_set in arch/x86/kernel/fpu/regset.c), and otherwise answers EFAULT.
 * Here the missing tail is added: zeros, that is the tiles' initial state.
 */
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long set_whole_state(pid_t pid, void *address, const struct iovec *part)
{
	static unsigned char whole[65536] __attribute__((aligned(64)));
	struct iovec padded = { whole, 0 };
	unsigned int eax, size, ecx, edx;

	/* Leaf 13: the size of all the state that the kernel has turned on. */
	if (!__get_cpuid_count(13, 0, &eax, &size, &ecx, &edx) || size > sizeof whole ||
	    size <= part->iov_len) {
		errno = EFAULT;
		return -1;
	}
	memset(whole, 0, size);
	memcpy(whole, part->iov_base, part->iov_len);
	padded.iov_len = size;
	return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, address, &padded);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list words;
	pid_t pid;
	void *address, *data;
	long result, peeked = 0;
	int peeks = request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA ||
		    request == PTRACE_PEEKUSER;

	va_start(words, request);
	pid = va_arg(words, pid_t);
	address = va_arg(words, void *);
	data = va_arg(words, void *);
	va_end(words);

	/* The system call stores what it peeks, where the C library returns it. */
	result = syscall(SYS_ptrace, request, pid, address, peeks ? (void *)&peeked : data);
	if (peeks && result >= 0) {
		errno = 0;
		return peeked;
	}
	if (result == -1 && errno == EFAULT && request == PTRACE_SETREGSET &&
	    address == (void *)NT_X86_XSTATE)
		return set_whole_state(pid, address, data);
	return result;
}
