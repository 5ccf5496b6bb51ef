// What this host offers.
#include <fcntl.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "cpu/kvm/host.h"
#include "cpu/kvm/kvm.h"

namespace vireo::cpu::kvm {
namespace {

/// The flag of VT-x (Intel) or SVM (AMD) in the first CPU's line, or nothing.
const char* virtualization_flag() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word == "vmx") return "VT-x";
      if (word == "svm") return "SVM";
    }
    return nullptr;
  }
  return nullptr;
}

struct Need {
  int capability;
  const char* name;
};
constexpr Need kNeeds[] = {
    {KVM_CAP_USER_MEMORY, "user memory"},
    {KVM_CAP_SPLIT_IRQCHIP, "split irqchip"},
    {KVM_CAP_SIGNAL_MSI, "MSI injection"},
    {KVM_CAP_IRQ_ROUTING, "interrupt routing"},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
    {KVM_CAP_VCPU_EVENTS, "vCPU events"},
    {KVM_CAP_MP_STATE, "MP state"},
    {KVM_CAP_XSAVE, "XSAVE state"},
    {KVM_CAP_DEBUGREGS, "debug registers"},
    {KVM_CAP_EXT_CPUID, "extended CPUID"},
};

}  // namespace

Result<host::Fd> open_device(const char* device) {
  host::Fd fd{::open(device, O_RDWR | O_CLOEXEC)};
  if (!fd) {
    const int error = errno;
    if (error == ENOENT || error == ENODEV || error == ENXIO) {
      return fail(ErrorKind::NotFound, "no KVM on this host: {} {}; use --engine interpret, or load the kvm module",
                  device, error == ENOENT ? "does not exist" : "has no driver behind it");
    }
    if (error == EACCES || error == EPERM) {
      return fail(
          ErrorKind::Denied,
          "no permission to use {}; join its group (usually: sudo usermod -aG kvm $USER, and log in again), or use "
          "--engine interpret",
          device);
    }
    return fail_errno(error, device);
  }
  const int version = ::ioctl(fd.get(), KVM_GET_API_VERSION, 0);
  if (version != KVM_API_VERSION) {
    return fail(ErrorKind::NotFound, "{} is no KVM device that can be used here (API version {}, needed {})", device,
                version, KVM_API_VERSION);
  }
  for (const auto& need : kNeeds) {
    if (::ioctl(fd.get(), KVM_CHECK_EXTENSION, need.capability) <= 0)
      return fail(ErrorKind::Failed, "the host kernel's KVM has no {}; use --engine interpret, or a newer kernel",
                  need.name);
  }
  return fd;
}

Support probe(const char* device) {
  Support support;
  const auto fd = open_device(device);
  if (!fd) {
    support.reason = fd.error().message;
    support.kind = fd.error().kind;
    return support;
  }
  support.usable = true;
  if (const char* flag = virtualization_flag()) {
    support.hardware_backed = true;
    support.reason = fmt::format("{} is there and the CPU has {}", device, flag);
  } else {
    support.reason = fmt::format(
        "{} is there, but the CPU shows neither VT-x nor SVM, so guests would be emulated by the kernel", device);
  }
  return support;
}

}  // namespace vireo::cpu::kvm
