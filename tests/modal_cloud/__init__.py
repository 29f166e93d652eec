"""A stand-in of Modal's control plane for tests: the unmodified `modal` client (1.6), over gRPC on loopback.

`python -m tests.modal_cloud --state DIR [--mode boxes|paper]` serves it; `client.py` starts that and breaks things,
`fixtures.py` gives both to pytest. In the mode `boxes` a sandbox is real processes in bubblewrap, on `paper` none.

It can know only what the client's source shows of the other side. What is behind that is assumed, and a test that
leans on an assumption should hold if it were otherwise: the faults `forgotten`, `no_task`, `held_name`, `stale`,
`idle`, `early` and the argument of `kill` turn some of them round. K: known from the client's source or the service's
documents. A: assumed.

    what                                                                                                       K or A
    which calls are made, with which fields, and what each answer means to the client                             K
    sandboxes are of the second generation by the shape of their ids; the router's address comes with create      K
    attempts of one wish share x-idempotency-key: create is done once for each; across two wishes nothing is      K
    a command is started once for each exec_id, a snapshot made once for each snapshot_id                         K
    stdin is taken by offset, once; output is read by offset, and a stream that was cut goes on where it was      K
    RESOURCE_EXHAUSTED with RPCRetryPolicy is waited out by the client, without it is an error at once            K
    a name is unique among an app's running sandboxes: ALREADY_EXISTS; it is free as soon as an end is decided    K; A
    entrypoint's exit ends the sandbox; 24 hours at most; a timeout is code 124, a termination 137                K
    a list is of running sandboxes only, the newest first, by pages until an empty one; a page is 50              K; A
    from_name knows finished ones only when asked; from_id knows them always                                      K
    tags are replaced as a whole                                                                                  K
    a snapshot's time to live is what was asked, -1 for ever; then, and when deleted, create is NOT_FOUND         K
    a snapshot is the whole root but /usr, /dev and /proc; /tmp, /run and /dev/shm: the first two are in it       A
    files that a client adds to an image without a copy are in the sandbox, and not in its snapshots              A
    processes stand still while they are copied                                                                   A
    a snapshot that its caller stopped waiting for is made all the same, and so is a sandbox                      A
    the exit snapshot is made at terminate, exit, timeout, idling and a kill, and kept for 30 days                K; A
    a finished task is NOT_FOUND for new commands; what it had said can still be read, its waits end with 137     A
    … and the router may have forgotten it: the fault `forgotten`                                                 A
    GetTaskId names the task of a finished sandbox, and the router's access is FAILED_PRECONDITION then           A
    idling is no command that runs and no call to the router for so long; its end looks like a termination        A
    memory that is out looks like FAILURE with code 137; `kill(status=…)` says it otherwise                       A
    a command that is not there ends with 127, one that cannot be started with 126                                A
    outputs that a background process holds open end half a second after the command                              A
    an entrypoint's output is kept from its newest megabyte on                                                    A
    a command has the sandbox's environment, then its own; HOME is /root, and so is where it starts               A
    a working directory that is not there is made                                                                 A
    the entrypoint is not process 1; all processes end with process 1                                             A
    a sandbox's user is root, with a container's usual capabilities, over all user ids (if we are root; else      A
    there is one user id and no capability)
    /usr is this machine's, read-only; lines of a recipe: COPY, ENV, WORKDIR and CMD are followed, RUN is not     (ours)
    the network is this machine's: what was asked of it is on record, and nothing is refused                      (ours)
    not there, answered with UNIMPLEMENTED: the file system calls, directories' snapshots and mounts, tunnels,    (ours)
    connect tokens, volumes, logs, sidecars, GPUs, the first generation's calls
"""
