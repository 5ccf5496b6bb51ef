; Interrupts from outside: a device's MSI, and the 8259 through LINT0; both wake HLT.
; cpus: 2
%include "long64.inc"
main:
  apic_write 0xF0, 0x1FF
  mov byte [eoi_on], 1
  start_ap 1, other
  wait_for dword [ready], 1
  ; an MSI to this CPU
  mov al, 0
  out MSI_CPU_PORT, al
  mov eax, 0x55
  out MSI_PORT, eax
  sti
  hlt
  cli
  check_eq dword [vector_count + 4 * 0x55], 1
  ; one to the other
  mov al, 1
  out MSI_CPU_PORT, al
  mov eax, 0x56
  out MSI_PORT, eax
  wait_for dword [vector_count + 4 * 0x56], 1
  ; the 8259: not while LINT0 is masked
  mov byte [eoi_on], 0
  apic_write 0x350, 0x10700
  mov al, 0x30
  out PIC_PORT, al
  sti
  mov ecx, 1000
.masked:
  pause
  loop .masked
  cli
  check_eq dword [vector_count + 4 * 0x30], 0
  apic_write 0x350, 0x700
  sti
.wait:
  cmp dword [vector_count + 4 * 0x30], 1
  jb .wait
  cli
  in al, PIC_PORT
  check_eq al, 0
  ; it ignores the task priority
  mov eax, 15
  mov cr8, rax
  mov al, 0x31
  out PIC_PORT, al
  sti
  hlt
  cli
  check_eq dword [vector_count + 4 * 0x31], 1
  pass
other:
  mov dword [ready], 1
  sti
.park:
  hlt
  jmp .park
ready: dd 0
