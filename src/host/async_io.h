// Reads, writes and syncs of files that do not block whoever asks for them.
//
//   io_uring   one thread owns the ring. It submits what has arrived meanwhile in one system call, which also waits for
//              completions, so many requests at once cost few calls; a busy ring needs no wake-up at all
//   threads    where the kernel refuses io_uring (containers often do): a pool that makes blocking calls
//
// The ring is made when the object is, and is restricted to the operations above before anything uses it: io_uring does
// not ask the system call filter of host/sandbox.h. Threads are started by the first request.
//
// Threads: submit() from any thread. `done` is called on a thread of this object with no lock held, and must not block
// for long: with io_uring, other completions wait behind it. The destructor waits for all requests.
#pragma once

#include <memory>
#include <span>

#include "base/types.h"
#include "host/file_io.h"

namespace vireo::host {

struct AsyncOperation {
  enum class Kind : u8 { Read, Write, SyncData };
  Kind kind = Kind::Read;
  int fd = -1;
  u64 offset = 0;                      ///< bytes
  std::span<const iovec> memory = {};  ///< any number and size; beyond the end of a file, zeroes are read
  /// `error` is 0 or an errno value. The operation may be gone afterwards.
  void (*done)(AsyncOperation& operation, int error) = nullptr;

  // The engine's own
  Scatter rest = {};
  AsyncOperation* next = nullptr;
};

class AsyncIo {
 public:
  enum class Engine : u8 { Auto, Threads };
  static std::unique_ptr<AsyncIo> create(Engine engine = Engine::Auto);
  virtual ~AsyncIo() = default;
  virtual void submit(AsyncOperation& operation) = 0;
  virtual const char* name() const = 0;  ///< "io_uring" or "threads"
};

}  // namespace vireo::host
