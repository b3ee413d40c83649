/*
 * serve.h - the worker's loop: contexts in, steps of the engine, tokens out
 */
#ifndef MILLRACE_LLAMA_SERVE_H
#define MILLRACE_LLAMA_SERVE_H

#include "workers/llama/engine.h"
#include "workers/llama/options.h"
#include "workers/llama/sample.h"

#include <millrace/worker.h>

typedef struct server server;

/* server_create - NULL if there is no memory. `capacity` as it was given to mr_worker_attach(), at
 * most the engine's max_sequences. */
server *server_create(mr_worker *worker, engine *e, uint32_t capacity);
void server_destroy(server *s); /* NULL is fine */

/* server_run - until the domain ends, the model changes or something fails, which it says on
 * stderr as `name` */
enum worker_exit server_run(server *s, const char *name);

#endif
