; Virtual-8086 mode: the way in and out, IOPL, faults, real-mode segments, and the virtual interrupts of CR4.VME.
; KVM without hardware behind it does not run this mode.
; kvm: hardware
%include "pm32.inc"
%macro enter_v86 2-3 0x0002 ; label, IOPL, other flags
  push dword 0x4321  ; GS
  push dword 0x4320  ; FS
  push dword 0x3000  ; DS
  push dword 0x2000  ; ES
  push dword 0x1000  ; SS
  push dword 0x8000  ; ESP
  push dword 0x20000 | ((%2) << 12) | %3
  push dword 0
  push dword %1
  iretd
%endmacro
; In virtual-8086 mode, ends with vector, error at the instruction `at`.
%macro v86_fault 4-6 0, 2 ; label, vector, error, at, IOPL, flags
  arm_fault %%resume
  enter_v86 %1, %5, %6
%%resume:
  check_eq dword [fault_vector], %2
  check_eq dword [fault_error], %3
  check_eq dword [fault_eip], %4
  test dword [fault_eflags], 0x20000
  check nz
%endmacro

main:
  jmp pm_main
  bits 16
v_segments:
  mov [0x10], ax       ; DS = 0x3000
  mov bx, 0x1234
  mov ds, bx
  mov cx, ds
  push word 0x5678
  int 0x80
v_cli:
  cli
v_sti:
  sti
v_pushf:
  pushf
v_popf:
  popf
v_iret:
  iret
v_int:
  int 0x80
v_hlt:
  hlt
v_cr0:
  mov eax, cr0
v_lar:
  lar eax, ebx
v_sldt:
  sldt ax
v_limit:
  mov bx, 0xFFFF
.at:
  mov ax, [bx]
v_int3:
  int3
v_far:
  jmp 0xF00:v_far_target - 0xF000
v_flags:
  cli
  pushf
  pop ax
  int 0x80
v_iret_down:
  push word 0x0000 ; flags: IOPL must not change
  push word 0x0000
  push word .at
  iret
.at:
  int 0x80
v_io:
  in al, SCRATCH_PORT
  int 0x80
; VME
v_vme_cli:
  cli
  pushf
  pop ax
  sti
  pushf
  pop bx
.at:
  int 0x42
v_vme_popf:
  push word 0x0200
  popf
  pushf
  pop ax
  push word 0
  popf
  pushf
  pop bx
.at:
  int 0x42
v_vme_popf_tf:
  push word 0x0100
.at:
  popf
v_vme_soft:
  int 0x43
.behind:
  int 0x42
v_vme_handler:
  mov bp, sp
  mov cx, [bp]     ; IP
  mov dx, [bp + 4] ; FLAGS
  pushf
  pop si
  iret
v_vme_pushfd:
  pushfd
  times 0xF000 - ($ - $$ + 0x7C00) db 0x90
v_far_target:
  mov cx, cs
  int 0x80
  bits 32
pm_main:
  v86_fault v_segments, 0x80, 0, v_segments + 15, 3
  check_eq ecx, 0x1234
  check_eq word [0x17FFE], 0x5678
  mov eax, [fault_esp]
  check_eq dword [eax + 5 * 4], 0x7FFE
  check_eq dword [eax + 6 * 4], 0x1000
  check_eq dword [eax + 7 * 4], 0x2000
  check_eq dword [eax + 8 * 4], 0x1234
  check_eq dword [eax + 9 * 4], 0x4320
  check_eq dword [eax + 10 * 4], 0x4321
  mov ax, fs
  check_eq ax, 0 ; the handler gets null segments
  ; IOPL below 3: #GP(0)
  v86_fault v_cli, GP, 0, v_cli
  v86_fault v_sti, GP, 0, v_sti
  v86_fault v_pushf, GP, 0, v_pushf
  v86_fault v_popf, GP, 0, v_popf
  v86_fault v_iret, GP, 0, v_iret
  v86_fault v_int, GP, 0, v_int
  ; whatever the IOPL
  v86_fault v_hlt, GP, 0, v_hlt, 3
  v86_fault v_cr0, GP, 0, v_cr0, 3
  v86_fault v_lar, UD, 0, v_lar, 3
  v86_fault v_sldt, UD, 0, v_sldt, 3
  v86_fault v_limit, GP, 0, v_limit.at, 3
  test dword [fault_eflags], 0x10000
  check nz ; RF
  ; the one-byte INT3 needs no IOPL
  v86_fault v_int3, BP, 0, v_int3 + 1
  v86_fault v_far, 0x80, 0, v_far_target - 0xF000 + 4, 3
  check_eq cx, 0xF00
  ; flags and IF with IOPL 3
  v86_fault v_flags, 0x80, 0, v_flags + 5, 3, 0x202
  check_eq ax, 0x3002
  v86_fault v_iret_down, 0x80, 0, v_iret_down.at + 2, 3, 0x202
  mov eax, [fault_eflags]
  and eax, 0x3200
  check_eq eax, 0x3000
  ; ports are checked against the bitmap even with IOPL 3
  v86_fault v_io, GP, 0, v_io, 3
  ; an interrupt handler that is not at ring 0 cannot be entered
  mov word [idt32 + 0x80 * 8 + 2], UCODE32
  v86_fault v_int, GP, UCODE32, v_int, 3
  mov word [idt32 + 0x80 * 8 + 2], KCODE32

  ; VME
  require_cpuid 1, edx, 1, "VME"
  mov eax, cr4
  or eax, 1
  mov cr4, eax
  ; a TSS with a redirection bitmap: 0x43 to the program, all others to us
  mov eax, vme_tss
  mov word [gdt_tss], vme_tss_end - vme_tss - 1
  mov [gdt_tss + 2], ax
  shr eax, 16
  mov [gdt_tss + 4], al
  mov byte [gdt_tss + 5], 0x89
  mov eax, TSS(0)
  ltr ax
  mov dword [0x43 * 4], v_vme_handler
  ; the program's IF is VIF; INT 0x42 stays ours: #GP below IOPL 3
  v86_fault v_vme_cli, GP, 0, v_vme_cli.at, 0
  check_eq ax, 0x3002
  check_eq bx, 0x3202
  test dword [fault_eflags], 0x80000
  check nz
  test dword [fault_eflags], 0x200
  check z
  v86_fault v_vme_popf, GP, 0, v_vme_popf.at, 0
  check_eq ax, 0x3202
  check_eq bx, 0x3002
  v86_fault v_vme_popf_tf, GP, 0, v_vme_popf_tf.at, 0
  v86_fault v_vme_pushfd, GP, 0, v_vme_pushfd, 0
  v86_fault v_sti, GP, 0, v_sti, 0, 0x100002 ; VIP is set
  v86_fault v_vme_soft, GP, 0, v_vme_soft.behind, 0, 0x80002
  check_eq cx, v_vme_soft.behind
  check_eq dx, 0x3202 ; IF shows VIF
  check_eq si, 0x3002 ; which the redirection cleared
  test dword [fault_eflags], 0x80000
  check nz            ; and IRET restored
  v86_fault v_vme_soft, GP, 0, v_vme_soft.behind, 0, 0x2
  check_eq dx, 0x3002
  pass

  align 16
vme_tss:
  dd 0
  dd STACK_TOP(0) - 0x4000, KDATA
  times 22 dd 0
  dw 0, .map - vme_tss
  times 8 db 0xFF
  db 0xF7 ; 0x43
  times 23 db 0xFF
.map:
  times 33 db 0xFF
vme_tss_end:
