; IPIs: to one, to all but oneself, to all, logical destinations, NMI; and in x2APIC mode.
; cpus: 3
%include "long64.inc"
%macro ipi 2 ; destination, command
  apic_write 0x310, (%1) << 24
  apic_write 0x300, %2
%endmacro
%define AT(cpu, vector) [counts + (cpu) * 1024 + (vector) * 4]
main:
  on_vector 0x70, counting
  on_vector 0x71, counting
  on_vector 0x72, counting
  on_vector 0x73, counting
  on_vector 0x74, counting
  on_vector NMI, counting
  apic_write 0xF0, 0x1FF
  apic_write 0xE0, 0xFFFFFFFF ; flat
  apic_write 0xD0, 1 << 24
  start_ap 1, other
  start_ap 2, other
  wait_for dword [ready], 2
  ipi 2, 0x4070
  wait_for dword AT(2, 0x70), 1
  ipi 0, 0xC4071 ; all but self
  wait_for dword AT(1, 0x71), 1
  wait_for dword AT(2, 0x71), 1
  sti
  ipi 0, 0x84072 ; all
  wait_for dword AT(0, 0x72), 1
  wait_for dword AT(1, 0x72), 1
  wait_for dword AT(2, 0x72), 1
  ipi 6, 0x4873 ; logical, bits 1 and 2
  wait_for dword AT(1, 0x73), 1
  wait_for dword AT(2, 0x73), 1
  ipi 1, 0x4400 ; NMI
  wait_for dword AT(1, NMI), 1
  check_eq dword AT(0, 0x70), 0
  check_eq dword AT(0, 0x71), 0
  check_eq dword AT(0, 0x73), 0
  check_eq dword AT(2, NMI), 0
  ; x2APIC
  mov eax, 1
  cpuid
  bt ecx, 21
  jnc .end
  mov ecx, 0x1B
  rdmsr
  or eax, 0xC00
  wrmsr
  mov ecx, 0x802
  rdmsr
  check_eq eax, 0
  mov byte [x2apic], 1
  mov ecx, 0x830
  mov edx, 2
  mov eax, 0x4074
  wrmsr
  wait_for dword AT(2, 0x74), 1
  mov ecx, 0x83F ; self IPI
  xor edx, edx
  mov eax, 0x74
  wrmsr
  wait_for dword AT(0, 0x74), 1
.end:
  pass
other:
  mov eax, 1
  mov ecx, edi
  shl eax, cl
  shl eax, 24
  mov ebx, eax
  mov eax, APIC
  mov dword [rax + 0xE0], 0xFFFFFFFF
  mov [rax + 0xD0], ebx
  lock inc dword [ready]
  sti
.park:
  hlt
  jmp .park
counting:
  push rax
  push rbx
  push rcx
  push rdx
  mov eax, 1
  cpuid
  shr ebx, 24
  shl ebx, 10
  mov eax, [rsp + 32]
  lock inc dword [counts + rbx + rax * 4]
  cmp eax, NMI
  je .no_eoi
  test ebx, ebx
  jnz .memory
  cmp byte [x2apic], 0
  je .memory
  mov ecx, 0x80B
  xor eax, eax
  xor edx, edx
  wrmsr
  jmp .no_eoi
.memory:
  apic_write 0xB0, 0
.no_eoi:
  pop rdx
  pop rcx
  pop rbx
  pop rax
  add rsp, 16
  iretq
ready: dd 0
x2apic: db 0
  align 64
counts: times 3 * 256 dd 0
