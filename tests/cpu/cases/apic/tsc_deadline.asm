; TSC-deadline mode: fires when the counter passes, at once for the past, disarms by 0, and reads as 0 afterwards.
%include "long64.inc"
%define TSC_DEADLINE 0x6E0
main:
  require_cpuid 1, ecx, 24, "TSC deadline timer"
  apic_write 0xF0, 0x1FF
  mov byte [eoi_on], 1
  apic_write 0x320, 0x40060
  mfence
  ; far away: it reads as it was written
  rdtsc
  mov ecx, TSC_DEADLINE
  mov edx, 0x7FFFFFFF
  mov esi, eax
  wrmsr
  rdmsr
  check_eq eax, esi
  check_eq edx, 0x7FFFFFFF
  ; near
  rdtsc
  shl rdx, 32
  or rax, rdx
  lea rsi, [rax + 3000000]
  mov rax, rsi
  mov rdx, rsi
  shr rdx, 32
  wrmsr
  sti
.wait:
  hlt
  cmp dword [vector_count + 4 * 0x60], 1
  jb .wait
  cli
  rdtsc
  shl rdx, 32
  or rax, rdx
  cmp rax, rsi
  check ae
  mov ecx, TSC_DEADLINE
  rdmsr
  or eax, edx
  check z
  ; a deadline in the past
  mov eax, 1
  xor edx, edx
  wrmsr
  sti
.past:
  cmp dword [vector_count + 4 * 0x60], 2
  jb .past
  cli
  ; armed and disarmed
  rdtsc
  add eax, 20000000
  adc edx, 0
  mov ecx, TSC_DEADLINE
  wrmsr
  xor eax, eax
  xor edx, edx
  wrmsr
  sti
  mov ecx, 300000
.quiet:
  pause
  loop .quiet
  cli
  check_eq dword [vector_count + 4 * 0x60], 2
  ; in one-shot mode the MSR does nothing
  apic_write 0x320, 0x60
  mov eax, 1
  xor edx, edx
  mov ecx, TSC_DEADLINE
  wrmsr
  rdmsr
  or eax, edx
  check z
  pass
