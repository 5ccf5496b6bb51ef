; NMIs: not maskable by IF, blocked from delivery to IRET, and held meanwhile.
; KVM without hardware behind it delivers no NMI to itself.
; kvm: hardware
%include "long64.inc"
main:
  apic_write 0xF0, 0x1FF
  on_vector NMI, .nmi
  mov dword [count], 0
  apic_write 0x300, 0x44400 ; NMI to self
  nop
  nop
  check_eq dword [count], 2 ; the second was sent by the first's handler
  check_eq dword [depth_seen], 1
  pass
.nmi:
  push rax
  inc dword [depth]
  mov eax, [depth]
  cmp eax, [depth_seen]
  jbe .lower
  mov [depth_seen], eax
.lower:
  inc dword [count]
  cmp dword [count], 2
  je .over
  apic_write 0x300, 0x44400
  nop
  nop
  nop
.over:
  dec dword [depth]
  pop rax
  add rsp, 16
  iretq
count: dd 0
depth: dd 0
depth_seen: dd 0
