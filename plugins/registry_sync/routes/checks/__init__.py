"""Problems of a mirrors file that no entry shows by itself: unknown names, and routes that disturb each other."""
