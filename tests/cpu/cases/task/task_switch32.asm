; Task switches by JMP, CALL, IRET, INT and a fault through a task gate: what is saved and loaded, busy bits, NT, the back link,
; CR0.TS, the debug trap, and every refusal.
; KVM without hardware behind it switches no tasks.
; kvm: hardware
%include "pm32.inc"
%define SLOT(n) (SPARE + (n) * 8)
%define TSS_B SLOT(0)
%define TSS_C SLOT(1)
%define TASK_GATE SLOT(2)
%define LDT_B SLOT(3)
%macro descriptor 3 ; slot, high dword, low dword
  mov dword [gdt_spare + (%1) * 8], %3
  mov dword [gdt_spare + (%1) * 8 + 4], %2
%endmacro
%macro tss_descriptor 4 ; slot, address, limit, access byte
  mov eax, %2
  mov word [gdt_spare + (%1) * 8], %3
  mov [gdt_spare + (%1) * 8 + 2], ax
  shr eax, 16
  mov [gdt_spare + (%1) * 8 + 4], al
  mov byte [gdt_spare + (%1) * 8 + 5], %4
  mov word [gdt_spare + (%1) * 8 + 6], 0
%endmacro
%macro task_b 1 ; entry: fresh registers
  mov dword [tss_b + 0x20], %1
  mov dword [tss_b + 0x24], 2
  mov dword [tss_b + 0x38], STACK_TOP(1)
%endmacro

main:
  tss_descriptor 0, tss_b, 0x67, 0x89
  tss_descriptor 1, tss_c, 0x2B, 0x81 ; 16 bits
  descriptor 2, 0x0000E500, TSS_B << 16 ; task gate, DPL 3
  descriptor 3, 0x00008200, 0x00000007 ; an LDT
  mov dword [tss32 + 0x1C], 0
  mov ebp, esp

  ; CALL: nested, back by IRET
  task_b .called
  mov dword [tss_b + 0x28], 0xAAAAAAAA
  mov ebx, 0xB0B0B0B0
  mov edi, 0xD1D1D1D1
  clts
  stc
  call TSS_B:0
.after_call:
  check c
  check_eq ebx, 0xB0B0B0B0
  check_eq edi, 0xD1D1D1D1
  check_eq esp, ebp
  pushfd
  pop eax
  test eax, 0x4000
  check z ; our NT was never set
  test byte [gdt_tss + 5], 2
  check nz
  test byte [gdt_spare + 5], 2
  check z
  check_eq dword [tss_b + 0x20], .b_after_iret ; where B goes on
  check_eq dword [tss_b + 0x28], 0xBBBBBBBB
  test dword [tss_b + 0x24], 0x4000
  check z ; IRET cleared NT in B's image
  mov ax, ds
  check_eq ax, KDATA
  str ax
  check_eq ax, TSS(0)
  jmp .second
.called:
  check_eq eax, 0xAAAAAAAA
  check_eq esp, STACK_TOP(1)
  str ax
  check_eq ax, TSS_B
  check_eq word [tss_b], TSS(0) ; back link
  test byte [gdt_tss + 5], 2
  check nz ; both busy
  test byte [gdt_spare + 5], 2
  check nz
  pushfd
  pop eax
  test eax, 0x4000
  check nz ; NT
  mov eax, cr0
  test eax, 8
  check nz ; TS
  sldt ax
  check_eq ax, LDT_B
  check_eq dword [tss32 + 0x20], .after_call
  check_eq dword [tss32 + 0x34], 0xB0B0B0B0
  check_eq dword [tss32 + 0x44], 0xD1D1D1D1
  check_eq word [tss32 + 0x4C], KCODE32
  check_eq word [tss32 + 0x54], KDATA
  test dword [tss32 + 0x24], 1
  check nz
  mov eax, 0xBBBBBBBB
  iretd
.b_after_iret:
  ; goes on here when it is called again
  mov eax, 0xCCCCCCCC
  iretd
  fail "IRET came back"
.second:
  call TASK_GATE:0x1234
  check_eq dword [tss_b + 0x28], 0xCCCCCCCC

  ; JMP: the old task is not busy any more; back by JMP to it
  task_b .jumped
  jmp TSS_B:0
.after_jump:
  test byte [gdt_spare + 5], 2
  check z
  jmp .by_interrupt
.jumped:
  test byte [gdt_tss + 5], 2
  check z
  pushfd
  pop eax
  test eax, 0x4000
  check z
  jmp TSS(0):0
.by_interrupt:
  ; an interrupt through a task gate
  mov dword [idt32 + 0x60 * 8], TSS_B << 16
  mov dword [idt32 + 0x60 * 8 + 4], 0x8500
  task_b .interrupted
  int 0x60
.after_int:
  check_eq dword [seen], .after_int
  jmp .by_fault
.interrupted:
  mov eax, [tss32 + 0x20]
  mov [seen], eax
  iretd
.by_fault:
  ; a fault with an error code: on the new task's stack; RF in the old task's image
  mov dword [idt32 + GP * 8], TSS_B << 16
  mov dword [idt32 + GP * 8 + 4], 0x8500
  task_b .faulted
  mov eax, 0x1000
.faulting:
  mov es, eax
.fault_over:
  jmp .refusals
.faulted:
  check_eq esp, STACK_TOP(1) - 4
  check_eq dword [esp], 0x1000
  check_eq dword [tss32 + 0x20], .faulting
  test dword [tss32 + 0x24], 0x10000
  check nz
  mov dword [tss32 + 0x20], .fault_over
  add esp, 4
  iretd

.refusals:
  mov dword [idt32 + GP * 8], stubs32 + GP * 16
  mov word [idt32 + GP * 8 + 2], KCODE32
  mov dword [idt32 + GP * 8 + 4], 0x8E00
  expect_fault GP, TSS(0), call TSS(0):0 ; busy
  mov byte [gdt_spare + 5], 0x09
  expect_fault NP, TSS_B, jmp TSS_B:0
  expect_fault NP, TSS_B, call TASK_GATE:0
  mov byte [gdt_spare + 5], 0x89
  mov word [gdt_spare], 0x66
  expect_fault TS_, TSS_B, jmp TSS_B:0
  test byte [gdt_spare + 5], 2
  check z
  mov word [gdt_spare], 0x67
  expect_fault GP, TSS_B, jmp TSS_B|1:0
  ; IRET with NT and a link that is no busy TSS
  mov word [tss32], TSS_B
  pushfd
  or dword [esp], 0x4000
  popfd
  expect_fault TS_, TSS_B, iretd
  mov word [tss32], TSS_B | 4
  pushfd
  or dword [esp], 0x4000
  popfd
  expect_fault TS_, TSS_B | 4, iretd
  pushfd
  and dword [esp], ~0x4000
  popfd

  ; faults after the switch are the new task's: its EIP is saved, TR is its TSS
%macro bad_image 4 ; offset in the TSS, value, vector, error
  task_b .never
  mov cx, [tss_b + %1]
  mov [saved], cx
  mov dword [tss_b + %1], %2
  mov dword [fault_resume], %%resume
  mov dword [fault_resume_esp], STACK_TOP(1)
  call TSS_B:0
%%back:
  jmp %%done
%%resume:
  check_eq dword [fault_vector], %3
  check_eq dword [fault_error], %4
  check_eq dword [fault_eip], .never
  str ax
  check_eq ax, TSS_B
  ; home again
  pushfd
  or dword [esp], 0x4000
  popfd
  mov eax, KDATA
  mov ss, eax
  mov esp, STACK_TOP(1)
  iretd
%%done: ; B's registers still hold what was refused, and were saved so
  mov ax, [saved]
  mov [tss_b + %1], ax
%endmacro
  bad_image 0x48, 0x1000, TS_, 0x1000 ; ES
  bad_image 0x58, KCODE64 + 1, TS_, KCODE64 ; FS: RPL above its DPL

  ; the T bit: #DB after the switch, before the first instruction
  task_b .trapped
  mov byte [tss_b + 0x64], 1
  mov dword [fault_resume], .trap_taken
  mov dword [fault_resume_esp], STACK_TOP(1)
  xor eax, eax
  mov dr6, eax
  call TSS_B:0
  jmp .small
.trapped:
  fail "no trap"
.trap_taken:
  check_eq dword [fault_vector], DB
  check_eq dword [fault_eip], .trapped
  mov eax, dr6
  check_eq eax, 0xFFFF8FF0
  mov byte [tss_b + 0x64], 0
  pushfd
  or dword [esp], 0x4000
  popfd
  iretd

.small:
  ; a 16-bit TSS
  mov word [tss_c + 0x0E], small_task
  call TSS_C:0
  check_eq word [tss_c + 0x12], 0x6666
  check_eq esp, ebp
  pass
.never:
  fail "the faulty task ran"

  bits 16
small_task:
  mov ax, 0x6666
  iret
  bits 32

  align 16
seen: dd 0
saved: dd 0
tss_b:
  dd 0
  dd 0, 0, 0, 0, 0, 0
  dd 0          ; CR3
  dd 0          ; EIP
  dd 2          ; EFLAGS
  dd 0, 0, 0, 0 ; EAX ECX EDX EBX
  dd 0, 0, 0, 0 ; ESP EBP ESI EDI
  dd KDATA, KCODE32, KDATA, KDATA, 0, 0
  dd LDT_B
  dw 0, 0x68
tss_c:
  dw 0
  dw 0, 0, 0, 0, 0, 0
  dw 0, 2          ; IP FLAGS
  dw 0, 0, 0, 0, 0x8000, 0, 0, 0
  dw KDATA16, KCODE16, KDATA16, KDATA16
  dw 0
