; LOCK CMPXCHG16B: success, failure, alignment, and two CPUs that count with it.
; cpus: 2
%include "long64.inc"
%define ROUNDS 500
main:
  require_cpuid 1, ecx, 13, "CMPXCHG16B"
  mov rax, [pair]
  mov rdx, [pair + 8]
  mov rbx, 0x1111
  mov rcx, 0x2222
  lock cmpxchg16b [pair]
  check z
  check_eq qword [pair], 0x1111
  check_eq qword [pair + 8], 0x2222
  mov eax, 5
  xor edx, edx
  lock cmpxchg16b [pair]
  check nz
  check_eq rax, 0x1111
  check_eq rdx, 0x2222
  expect_fault GP, 0, lock cmpxchg16b [pair + 8]
  mov qword [pair], 0
  mov qword [pair + 8], 0
  start_ap 1, worker
  call count
  wait_for dword [done], 2
  check_eq qword [pair], 2 * ROUNDS
  check_eq qword [pair + 8], -2 * ROUNDS
  pass
worker:
  call count
.park:
  hlt
  jmp .park
count:
  mov r8d, ROUNDS
.round:
  mov rax, [pair]
  mov rdx, [pair + 8]
.again:
  lea rbx, [rax + 1]
  lea rcx, [rdx - 1]
  lock cmpxchg16b [pair]
  jne .again
  dec r8d
  jnz .round
  lock inc dword [done]
  ret
  align 16
pair: dq 3, 4
done: dd 0
