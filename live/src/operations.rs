//! What each operation of the model really does, one row each.
