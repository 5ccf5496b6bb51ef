// What a virtual machine's process gives up before the first guest instruction, so that a guest that broke out of its
// engine finds little to use: new privileges, every capability, the file system, and every system call that is not in
// the table of sandbox_calls.cpp.
//
// There is no way back. What will be needed is opened before: files, code memory (nothing can be made executable
// afterwards), /proc files, devices.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/fd.h"

namespace vireo::host {

struct SandboxNeeds {
  std::vector<int> folders;  ///< open folders in which files are replaced (host/file.h, NewFile)
  std::vector<int> readable =
      {};                      ///< open files and folders that may be opened again for reading, if paths can be seen
  bool internet = false;       ///< sockets of the Internet are made, and used
  bool block_servers = false;  ///< disks are at servers, which are connected to anew when they were lost
  bool accepts = false;        ///< a socket that listens already takes connections
  std::span<const unsigned long> requests = {};  ///< of ioctl, besides the terminal's
  /// Open sockets at which connections are accepted, with the open folder out of which the socket's name is removed at
  /// the end (nothing else can be done there).
  struct Listener {
    int socket = -1, folder = -1;
  };
  std::vector<Listener> listeners = {};
  /// A forbidden call names itself on standard error and ends the process with 1; otherwise the kernel kills the
  /// process with SIGSYS on the spot. For people who work on the table: a process that has been taken over can defuse
  /// the report, though not make the call.
  bool report = false;
};

/// Called before any other thread is started: threads inherit all of it. After an error the process may be half locked
/// in and should end.
Result<> enter_sandbox(const SandboxNeeds& needs);
/// The part of it that a helper process needs as well: the calling thread's capabilities are gone for good.
Result<> drop_capabilities();

}  // namespace vireo::host
