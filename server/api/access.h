/* How the first ones come in: the admin token of a server that others can reach, and the machine's own administrator.
 */
#ifndef API_ACCESS_H
#define API_ACCESS_H

#include "server.h"

/* Bound to other interfaces and without any token yet: make an admin token and write it to DATA/admin-token (0600).
 * It is no error to call this where none is needed. */
td_status access_first_token(struct server *srv, struct err *e);

/* DATA/daemon.json (0600) says where the server listens and holds a secret of this run, so that who may read that file
 * can administrate: `tandemd token` talks to a running daemon with it. */
td_status access_announce(struct server *srv, const char *url, struct err *e);
void access_withdraw(const struct server *srv);
/* What it says; both are owned.  TD_NOT_FOUND: no daemon has announced itself. */
td_status access_read(const char *data_dir, char **url, char **secret, struct err *e);

#endif
