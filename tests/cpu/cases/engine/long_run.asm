; Everything at once for a while: vCPUs wake each other out of HLT by IPIs, a periodic timer ticks, registers of all kinds keep
; their values, code and mappings change. What a move between engines must not disturb.
; cpus: 2
; timeout: 120
%include "long64.inc"
%define ROUNDS 1500
%define PTE(n) (PLAY_PT + 8 * (n))
%define PAGE(n) (PLAY + 0x1000 * (n))
main:
  mov rax, cr4
  or eax, 0x600 ; OSFXSR OSXMMEXCPT
  mov cr4, rax
  on_vector 0x60, ping
  on_vector 0x61, pong
  on_vector 0x62, tick
  apic_write 0xF0, 0x1FF
  start_ap 1, partner
  wait_for dword [ready], 1
  apic_write 0x3E0, 0xB
  apic_write 0x320, 0x20062
  apic_write 0x380, 700000
  ; values to keep
  fninit
  fldpi
  fld1
  mov rax, 0x0123456789ABCDEF
  movq xmm0, rax
  not rax
  movq xmm15, rax
  mov r12, rax
  mov eax, 0x12345678
  mov dr0, rax
  set_msr 0xC0000102, 0xFFFF8000, 0x11223344 ; KERNEL_GS_BASE
  set_msr 0xC0000082, 0xFFFFFFFF, 0x81234567 ; LSTAR
  mov qword [PAGE(1)], 0
  mov qword [PAGE(2)], 0
  xor r15d, r15d
.round:
  ; a mapping that alternates, and code that changes
  mov eax, r15d
  and eax, 1
  shl eax, 12
  add eax, PAGE(1) + 3
  mov [PTE(4)], rax
  invlpg [PAGE(4)]
  inc qword [PAGE(4)]
  mov [.patched + 1], r15d
.patched:
  mov eax, 0
  check_eq eax, r15d
  ; wake the partner and sleep until it answers
  mov dword [answered], 0
  apic_write 0x310, 1 << 24
  apic_write 0x300, 0x4060
.wait:
  cli
  cmp dword [answered], 0
  jne .awake
  sti
  hlt
  jmp .wait
.awake:
  sti
  inc r15d
  cmp r15d, ROUNDS
  jne .round
  cli
  check_eq dword [pings], ROUNDS
  check_eq dword [pongs], ROUNDS
  check_eq qword [PAGE(1)], ROUNDS / 2
  check_eq qword [PAGE(2)], ROUNDS / 2
  cmp dword [ticks], 5
  check ae
  ; what was to be kept
  movq rax, xmm15
  check_eq rax, r12
  movq rax, xmm0
  not rax
  check_eq rax, r12
  mov rax, dr0
  check_eq eax, 0x12345678
  mov ecx, 0xC0000102
  rdmsr
  check_eq eax, 0x11223344
  check_eq edx, 0xFFFF8000
  mov ecx, 0xC0000082
  rdmsr
  check_eq eax, 0x81234567
  fld1
  fcomip st1
  check e
  fstp st0
  fldpi
  fcomip st1
  check e
  pass
partner:
  apic_write 0xF0, 0x1FF
  mov dword [ready], 1
  sti
.park:
  hlt
  jmp .park
ping: ; on the partner
  push rax
  inc dword [pings]
  apic_write 0xB0, 0
  apic_write 0x310, 0
  apic_write 0x300, 0x4061
  pop rax
  add rsp, 16
  iretq
pong:
  push rax
  inc dword [pongs]
  mov dword [answered], 1
  apic_write 0xB0, 0
  pop rax
  add rsp, 16
  iretq
tick:
  push rax
  inc dword [ticks]
  apic_write 0xB0, 0
  pop rax
  add rsp, 16
  iretq
ready: dd 0
answered: dd 0
pings: dd 0
pongs: dd 0
ticks: dd 0
