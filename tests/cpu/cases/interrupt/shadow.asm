; STI and MOV SS hold interrupts back for one instruction; an interrupt comes between any other two; IF off holds it.
; kvm: hardware
%include "long64.inc"
%macro self_ipi 0
  apic_write 0x300, 0x40041
%endmacro
main:
  apic_write 0xF0, 0x1FF
  on_vector 0x41, record
  self_ipi
  sti
.after_sti:
  nop
.first:
  nop
  cli
  check_eq qword [where], .first
  ; STI, CLI: never delivered between the two
  mov qword [where], 0
  self_ipi
  sti
  cli
  check_eq qword [where], 0
  ; when IF was on already, STI has no shadow; POPF has none at all
  pushfq
  pop rbx
  bts ebx, 9
  push rbx
  popfq
.after_popf:
  nop
  cli
  check_eq qword [where], .after_popf
  ; MOV SS holds back one instruction, with IF on
  mov qword [where], 0
  mov ecx, KDATA
  mov eax, APIC + 0x300
  sti
  nop
  mov ss, ecx
  mov dword [rax], 0x40041
.after_ss:
  nop
  nop
  cli
  cmp qword [where], .after_ss
  check ae
  pass
record:
  push rax
  mov rax, [rsp + 8 + 16]
  mov [where], rax
  apic_write 0xB0, 0
  pop rax
  add rsp, 16
  iretq
where: dq 0
