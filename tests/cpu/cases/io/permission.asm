; Ports in ring 3 with IOPL 0: the TSS's I/O bitmap, its end, and string instructions.
; KVM without hardware behind it emulates ports without the bitmap's edges.
; kvm: hardware
%include "pm32.inc"
%macro user 3+ ; IOPL, vector, instruction
  arm_fault %%back
  push dword UDATA | 3
  push dword 0x300000
  push dword 2 | ((%1) << 12)
  push dword UCODE32 | 3
  push dword %%user
  iretd
%%user:
  %3
  int 0x80
%%back:
  mov esi, eax
  check_eq dword [fault_vector], %2
  mov eax, esi
%endmacro
main:
  user 3, 0x80, in al, SCRATCH_PORT
  user 0, GP, in al, SCRATCH_PORT ; no bitmap at all
  user 2, GP, in al, SCRATCH_PORT
  ; a TSS with one
  mov eax, tss
  mov word [gdt_tss], tss_end - tss - 1
  mov [gdt_tss + 2], ax
  shr eax, 16
  mov [gdt_tss + 4], al
  mov byte [gdt_tss + 5], 0x89
  mov eax, TSS(0)
  ltr ax
  mov al, 0x5A
  out SCRATCH_PORT, al
  user 0, 0x80, in al, SCRATCH_PORT
  check_eq al, 0x5A
  user 0, 0x80, in ax, SCRATCH_PORT
  user 0, 0x80, in eax, SCRATCH_PORT
  or byte [tss.map + SCRATCH_PORT / 8], 8 ; the fourth byte
  user 0, 0x80, in ax, SCRATCH_PORT
  user 0, GP, in eax, SCRATCH_PORT
  user 0, GP, out SCRATCH_PORT, eax
  mov edx, 0xFF
  user 0, GP, in ax, dx ; the last port needs the byte behind it
  user 0, 0x80, in al, dx
  mov edx, 0x110
  user 0, GP, in al, dx ; beyond the limit
  ; string forms
  and byte [tss.map + SCRATCH_PORT / 8], ~8
  mov edx, SCRATCH_PORT
  mov eax, UDATA | 3
  mov es, eax
  mov edi, 0x301000
  mov ecx, 3
  arm_fault .strings
  enter_user .ins
.ins:
  rep insb
  int 0x80
.strings:
  check_eq dword [fault_vector], 0x80
  check_eq edi, 0x301003
  check_eq ecx, 0
  check_eq word [0x301000], 0x5A5A
  ; a count of zero touches neither port nor memory
  xor ecx, ecx
  xor edi, edi
  mov ds, ecx
  rep outsb
  mov eax, KDATA
  mov ds, eax
  mov esi, bytes
  mov ecx, 2
  rep outsb
  in al, SCRATCH_PORT
  check_eq al, 0x77
  std
  mov esi, bytes + 1
  outsb
  check_eq esi, bytes
  cld
  pass
bytes: db 0x66, 0x77
  align 16
tss:
  dd 0
  dd STACK_TOP(0) - 0x4000, KDATA
  times 22 dd 0
  dw 0, .map - tss
.map:
  times 32 db 0
  db 0xFF
tss_end:
