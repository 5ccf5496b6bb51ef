; KVM's hypercalls: VMCALL and VMMCALL are the same; ring 3 gets -KVM_EPERM, an unknown number -KVM_ENOSYS.
; engines: interpret
; KVM answers these itself.
%include "long64.inc"
main:
  mov eax, 0x4B564D
  vmcall
  check_eq rax, -1000
  mov eax, 0x4B564D
  vmmcall
  check_eq rax, -1000
  allow_user
  arm_fault .back
  enter_user .user
.user:
  vmmcall
  int 0x80
.back:
  check_eq dword [fault_vector], 0x80
  check_eq rax, -1
  ; the leaves that announce them
  mov eax, 0x40000000
  cpuid
  check_eq ebx, 'KVMK'
  check_eq eax, 0x40000001
  mov eax, 0x12345678 ; beyond every range: zeros
  cpuid
  or eax, ebx
  or eax, ecx
  or eax, edx
  check z
  mov eax, 0xB
  mov ecx, 7
  cpuid
  check_eq ecx, 7
  check_eq eax, 0
  pass
