/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml - YAML text to json-c trees, one a document, as sigs.k8s.io/yaml converts it
 *
 * Scalars are read with YAML 1.1 habits (R28): 0400 and 0o400 are octal, y/n/on/off
 * are booleans even as keys, integral floats are integers, of duplicate keys the last wins.
 * Quoted scalars are strings. Timestamps stay strings. A null key is an error.
 *
 * Every node that is not null carries its line, see sv_tree_line().
 * Aliases share their node; what they would expand to is limited.
 */
#ifndef SV_CORE_YAML_H
#define SV_CORE_YAML_H

#include <json-c/json_object.h>
#include <stddef.h>

#include "../base/err.h"

#define SV_TREE_DEPTH_MAX 100       /* nesting of maps and lists */
#define SV_TREE_NODES_MAX 1000000   /* nodes of a document, aliases counted as if written out */
#define SV_TREE_DOCUMENTS_MAX 10000 /* documents of a file */
#define SV_TREE_ANCHORS_MAX 1000    /* anchors of a document */
#define SV_TREE_TAGS_MAX 100        /* %TAG directives of a file */

enum {
	SV_TREE_E_SYNTAX = 1, /* the text cannot be parsed */
	SV_TREE_E_LIMIT,      /* too deep, too many nodes, documents, anchors, tags */
};

struct sv_tree {
	struct json_object *root; /* NULL for an empty document or null; owned */
	unsigned line;            /* of the document's first node, from 1 */
};

struct sv_trees {
	struct sv_tree *items;
	size_t n;
};

/**
 * sv_yaml_parse() - read all documents of a text
 * @text: UTF-8; borrowed
 * @ret:  the documents; written on 0 only. Give back with sv_trees_done()
 * @err:  "line N: …" on failure; never holds a scalar of the text
 * @line: the line of the failure, 0 if unknown; may be NULL
 *
 * Return: 0, SV_TREE_E_* or -ENOMEM.
 */
int sv_yaml_parse(const char *text, size_t len, struct sv_trees *ret, struct sv_err *err,
		  unsigned *line);

/* The line on which a node of a tree stands, or 0 where unknown (JSON, null). */
unsigned sv_tree_line(struct json_object *node);

/* Wipes every string of the trees and frees them. */
void sv_trees_done(struct sv_trees *trees);

/* Wipes every string of a tree and puts it. NULL is fine. */
void sv_tree_free(struct json_object *root);

#endif
